//! The mark of a server that is half restored: a key. It takes the place of everything else at once, and goes when all is right: whoever
//! is killed in between leaves a server that says so itself, to people, to the next capture and to the next restore.

use super::server::Server;
use super::write_command;
use crate::exec::Input;
use crate::source::program;
use repository::Error;

/// The name of the key, in the first database.
pub const MARK: &str = "mainstay_restore_incomplete";

const TEXT: &str = "half restored: a restore by Mainstay has not ended, repeat it with --overwrite";

/// Replace all that is there by the mark.
///
/// # Errors
/// The server's; nothing was changed then.
pub fn begin(server: &Server) -> anyhow::Result<()> {
    program::feed(
        &server.programs,
        &server.words(&["--pipe"]),
        server.surroundings(Input::Piped),
        |input| {
            for command in [&["MULTI"][..], &["FLUSHALL"], &["SET", MARK, TEXT], &["EXEC"]] {
                let words: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
                write_command(input, &words)?;
            }
            Ok(())
        },
    )
}

/// Take the mark away.
///
/// # Errors
/// The server's.
pub fn end(server: &Server) -> anyhow::Result<()> {
    server.ask(&["del", MARK]).map(drop)
}

/// Whether a server is marked.
///
/// # Errors
/// The server's: not everybody may ask.
pub fn is_marked(server: &Server) -> anyhow::Result<bool> {
    Ok(server.ask(&["exists", MARK])?.trim() == "1")
}

/// Why a server is not captured.
pub fn refusal(name: &str) -> Error {
    Error::Refused {
        message: format!("the server `{name}` is {TEXT}"),
        hint: format!("Delete the key `{MARK}` only if the server is as it should be."),
    }
}

/// Why what was captured is not restored.
pub fn captured() -> Error {
    Error::Refused {
        message: "the server was half restored when it was captured".to_owned(),
        hint: "Choose another restore point.".to_owned(),
    }
}
