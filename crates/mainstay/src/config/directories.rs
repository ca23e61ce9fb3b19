//! Where things of this host are kept.

use super::env::{self, Environment};
use std::path::PathBuf;

/// The cache: `--cache-dir`, `MAINSTAY_CACHE_DIR`, `$XDG_CACHE_HOME/mainstay`, `~/.cache/mainstay`; without a home there is none.
pub fn cache(given: Option<PathBuf>, environment: &Environment) -> Option<PathBuf> {
    given.or_else(|| environment.path(env::CACHE_DIR)).or_else(|| {
        let parent = environment.path(env::XDG_CACHE_HOME);
        Some(
            parent
                .or_else(|| Some(environment.path(env::HOME)?.join(".cache")))?
                .join("mainstay"),
        )
    })
}

/// What `quickstart` makes: `MAINSTAY_STATE_DIR`, `/var/lib/mainstay` for root, `$XDG_DATA_HOME/mainstay`,
/// `~/.local/share/mainstay`.
pub fn state(environment: &Environment) -> Option<PathBuf> {
    environment.path(env::STATE_DIR).or_else(|| {
        if let Some(parent) = environment.path(env::XDG_DATA_HOME) {
            return Some(parent.join("mainstay"));
        }
        if repository::local::users::identity().uid == 0 {
            return Some(PathBuf::from("/var/lib/mainstay"));
        }
        Some(environment.path(env::HOME)?.join(".local/share/mainstay"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_explicit_place_wins() {
        let environment = Environment::of([(env::HOME, "/h"), (env::XDG_CACHE_HOME, "/x"), (env::STATE_DIR, "/s")]);
        assert_eq!(cache(None, &environment), Some("/x/mainstay".into()));
        assert_eq!(cache(Some("/c".into()), &environment), Some("/c".into()));
        assert_eq!(
            cache(None, &Environment::of([(env::HOME, "/h")])),
            Some("/h/.cache/mainstay".into())
        );
        assert_eq!(cache(None, &Environment::default()), None);
        assert_eq!(state(&environment), Some("/s".into()));
    }
}
