//! Checks the dependencies against deny.toml.

use crate::sh::Sh;
use crate::{Done, setup};

pub fn run() -> Done {
    setup::for_deny()?;
    let offline = Sh::cargo().args(["deny", "check", "bans", "licenses", "sources"]).run();
    // The database of vulnerabilities lies in a git repository, which a machine behind a registry mirror cannot reach.
    if let Err(error) = Sh::cargo().args(["deny", "fetch", "db"]).run() {
        offline?;
        eprintln!("\n*** ADVISORIES WERE NOT CHECKED: the database could not be fetched: {error:#}");
        return Ok(Some(
            "known vulnerabilities NOT checked: the advisory database could not be fetched".to_owned(),
        ));
    }
    let advisories = Sh::cargo()
        .args(["deny", "check", "--disable-fetch", "advisories"])
        .run();
    offline.and(advisories)?;
    Ok(None)
}
