//! What a repository of each kind says is what its store is opened with.

use super::tests::{JOB, of_repository};
use super::*;
use crate::config::env::{self, Environment};
use storage::{Options, Secret};

const KEYS: &str = "password: {env: P}";

/// The options that a repository with these keys is opened with, where the environment has other secrets.
fn options(keys: &str) -> Options {
    let text = format!("{JOB}repositories:\n  r: {{{keys}, {KEYS}}}\n");
    let surroundings = Surroundings {
        host: "web1".to_owned(),
        timezone: Some("UTC".to_owned()),
    };
    let loaded = from_texts(&[("/c/m.yaml".into(), text)], &surroundings).finish();
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let repository = loaded.config.repository("r").unwrap();
    let environment = Environment::of([(env::HOME, "/")]).with("S", "hush").with("T", "also");
    let mut base = Options::default();
    base.webdav.login.user = Some("theirs".to_owned());
    base.webdav.login.password = Some("theirs".into());
    base.rest = storage::RestOptions {
        login: base.webdav.login.clone(),
    };
    base.azblob.account_key = Some("theirs".into());
    base.dropbox.token = Some("theirs".into());
    let options = repository.store_options(base, &environment).unwrap();
    storage::open(repository.place.location(), &options).unwrap();
    options
}

#[test]
fn webdav_and_rest() {
    let hush = Some(Secret::from("hush"));
    let webdav = options("url: webdav+https://host/path, user: me, login_password: {env: S}").webdav;
    assert_eq!(
        (webdav.login.user.as_deref(), webdav.login.password),
        (Some("me"), hush.clone())
    );
    let token = options("url: webdav+https://host/path, token: {env: S}").webdav;
    assert_eq!((token.login.user, token.token), (None, hush.clone()));
    let rest = options("url: 'rest:http://host/path', user: me, login_password: {env: S}").rest;
    assert_eq!((rest.login.user.as_deref(), rest.login.password), (Some("me"), hush));
    // Nothing is said, so the environment's holds.
    let rest = options("url: 'rest:http://host/path'").rest;
    assert_eq!(rest.login.user.as_deref(), Some("theirs"));
}

#[test]
fn buckets() {
    let azure =
        options("url: azblob://c/p, account: me, sas_token: {env: S}, endpoint: 'https://azure.example.org'").azblob;
    assert_eq!(
        (azure.account.as_deref(), azure.account_key, azure.sas_token),
        (Some("me"), None, Some("hush".into()))
    );
    assert_eq!(azure.endpoint.as_deref(), Some("https://azure.example.org"));
    let google = options("url: gcs://b/p, anonymous: true").gcs;
    assert!(google.anonymous);
    let dropbox = options("url: 'dropbox:x', refresh_token: {env: S}, app_key: key, app_secret: {env: T}").dropbox;
    assert_eq!(
        (
            dropbox.token,
            dropbox.refresh_token,
            dropbox.app_key.as_deref(),
            dropbox.app_secret
        ),
        (None, Some("hush".into()), Some("key"), Some("also".into()))
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for (keys, message) in [
        (
            "    {url: 'rest:http://host/x', format: archive, encryption: none, name: x}\n",
            "a REST server keeps no archives",
        ),
        (
            "    {url: 'webdav+http://host/x', user: me, password: {env: P}}\n",
            "`user` is given without `login_password`",
        ),
        (
            "    {url: 'gcs://bucket', app_key: x, password: {env: P}}\n",
            "`app_key` means nothing to a store of kind `gcs`",
        ),
    ] {
        let found = of_repository(keys);
        assert!(found.contains(message), "{keys}: {found}");
    }
}
