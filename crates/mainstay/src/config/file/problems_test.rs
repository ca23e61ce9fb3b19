//! Bad configurations with everything that is said about them: `line:column: message | hint`, of which the beginning is compared.

use super::tests::{JOB, REPOSITORY, of_job, of_repository, problems};

use std::fmt::Write as _;

type Case = (&'static str, &'static str);

fn assert_all(cases: &[(&str, &str)], problems: impl Fn(&str) -> String) {
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = problems(text);
        let same = found.lines().count() == expected.lines().count();
        let same = same
            && found
                .lines()
                .zip(expected.lines())
                .all(|(found, expected)| found.starts_with(expected));
        if !same {
            let _ = write!(wrong, "{text}\nexpected\n{expected}\nfound\n{found}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
#[rustfmt::skip]
fn problems_of_the_whole() {
    let cases = [
        ("", "1:1: nothing is configured | Run `mainstay config init`"),
        ("# nothing yet\n", "1:1: nothing is configured"),
        ("just text", "1:1: the file is not a map of names and values"),
        ("- a\n", "1:1: the file is not a map of names and values"),
        ("host: a\n", "1:1: `the configuration` has no `repositories` | Add `repositories`: places to store in, by name.\n1:1: `the configuration` has no `jobs`"),
        ("repositories: {}\njobs:\n", "1:15: `repositories` is empty | Name at least one\n2:5: `jobs` has no value"),
        ("repositories: [a]\njobs: text\n", "1:15: `repositories` is a list | Write names with values\n2:7: `jobs` is a single value"),
        (&format!("{REPOSITORY}{JOB}reposatories: {{}}\n"), "6:1: `reposatories` is no key of the configuration | Did you mean `repositories`?"),
        (&format!("{REPOSITORY}{JOB}host: ''\n"), "6:7: `host` is empty"),
        (&format!("{REPOSITORY}{JOB}host: a b\n"), "6:7: `host` is `a b`, which is not a name"),
        (&format!("{REPOSITORY}{JOB}host: true\n"), "6:7: `host` is `true`, which is no text | Write \"true\" in quotes"),
        (&format!("{REPOSITORY}{JOB}metrics: {{pushgateway: gateway:9091}}\n"), "6:24: `pushgateway` is `gateway:9091`, which is not an address"),
        (&format!("{REPOSITORY}{JOB}host: a\nhost: b\n"), "7:1: `host` is written twice, here and at /c/m.yaml:6"),
    ];
    assert_all(&cases, problems);
}

#[rustfmt::skip]
const REPOSITORIES: &[Case] = &[
    ("    password: {env: P}\n", "6:5: `r` has no `url`"),
    ("    url: /r\n", "6:5: `r` has no `password`, which a repository of format `restic` needs | Add `password: {file: PATH}`"),
    ("    {url: /r, pasword: {env: P}}\n", "6:5: `r` has no `password`\n6:15: `pasword` is no key of a repository | Did you mean `password`?"),
    ("    {url: /r, password: hush}\n", "6:25: `password` holds the secret itself | Write where it is instead: `{env: NAME}`"),
    ("    {url: /r, password: {evn: P}}\n", "6:26: `evn` is no key of a secret | Did you mean `env`?"),
    ("    {url: /r, password: {env: P, file: /p}}\n", "6:34: `env` and `file` are given for one `password` | Keep one of them"),
    ("    {url: /r, password: {}}\n", "6:25: `password` is empty"),
    ("    {url: /r, password: {env: ''}}\n", "6:31: `env` is empty"),
    ("    {url: /r, password: {command: []}}\n", "6:35: `command` is empty"),
    ("    {url: /r, password: {command: pass show}}\n", "6:35: `command` is a single value | Write a list"),
    ("    {url: ~/r, password: {env: P}}\n", "6:11: `url` is `~/r`, in which `~` is not replaced"),
    ("    {url: '/${X}', password: {env: P}}\n", "6:11: `url` is `/${X}`, in which variables are not replaced"),
    ("    {url: 'swift:c:/x', password: {env: P}}\n", "6:11: `url` is `swift:c:/x`, but there are no stores of kind `swift:`"),
    ("    {url: 's3:https://K:S@h/b', password: {env: P}}\n", "6:11: `url` holds a password"),
    ("    {url: /r, format: rstic, password: {env: P}}\n", "6:23: `format` is `rstic`, which is not `restic` or `archive` | Did you mean `restic`?"),
    ("    {url: /r, region: x, password: {env: P}}\n", "6:15: `region` means nothing to a store of kind `local`"),
    ("    {url: 's3://b', access_key: {env: K}, password: {env: P}}\n", "6:33: `access_key` is given without `secret_key`"),
    ("    {url: /r, password: {env: P}, compression: {gzip: 6}}\n", "6:55: restic's format has no gzip"),
    ("    {url: /r, password: {env: P}, compression: {zstd: 20}}\n", "6:55: `zstd` is `20`, which is not a number from 1 to 19"),
    ("    {url: /r, password: {env: P}, compression: best}\n", "6:48: `compression` is `best`, which is not `none`"),
    ("    {url: /r, password: {env: P}, append_only: yes}\n", "6:48: `append_only` is `yes`, which is not `true` or `false` | Write `true`."),
    ("    {url: /r, password: {env: P}, encryption: none}\n", "6:47: `encryption` is for archives"),
    ("    {url: /r, password: {env: P}, limit_upload: fast}\n", "6:49: `limit_upload` is `fast`, which is not a rate"),
    ("    {url: /r, format: archive}\n", "6:5: `r` does not say how its archives are encrypted | Write `encryption:"),
    ("    {url: /r, format: archive, encryption: none, password: {env: P}}\n", "6:60: `password` is for repositories of format `restic`"),
    ("    {url: /r, format: archive, encryption: non}\n", "6:44: `encryption` is `non`, which is not `none` | Did you mean `none`?"),
    ("    {url: /r, format: archive, encryption: {age: []}}\n", "6:50: `age` is empty"),
    ("    {url: /r, format: archive, encryption: {age: [AGE-SECRET-KEY-1X, x]}}\n", "6:51: this is a private key\n6:70: `x` is no recipient of age"),
    ("    {url: /r, format: archive, encryption: {age: [age1x], gpg_keys: [x]}}\n", "6:59: `age` and `gpg_keys` are given for one `encryption`"),
    ("    {url: /r, format: archive, encryption: none, name: a.tar}\n", "6:56: `name` is `a.tar`, which is the same in every run"),
    ("    {url: /r, format: archive, encryption: none, name: ../%Y.tar}\n", "6:56: `name` is `../%Y.tar`, which is no name below the repository"),
    ("    {url: /r, format: archive, encryption: none, name: '{hst}-%Y'}\n", "6:56: `name` is `{hst}-%Y`, which has a field that is neither"),
    ("    {url: /r, format: archive, encryption: none, name: '%Ö'}\n", "6:56: `name` is `%Ö`, which has a field that strftime does not know"),
];

#[test]
fn problems_of_repositories() {
    assert_all(REPOSITORIES, of_repository);
    let name = problems(&format!(
        "{JOB}repositories:\n  a/b: {{url: /r, password: {{env: P}}}}\n"
    ));
    assert!(name.starts_with("5:3: `a/b` is no name"), "{name}");
}

#[rustfmt::skip]
const JOBS: &[Case] = &[
    ("    to: r\n", "5:5: `j` has no `sources` | Add `sources`: what is protected."),
    ("    sources: []\n", "5:14: `sources` is empty | Name at least one"),
    ("    sources: /x\n", "5:14: `sources` is a single value | Write a list"),
    ("    sources: [files: []]\n", "5:22: `files` is empty"),
    ("    sources: [file: /x]\n", "5:15: `file` is no key of a source | Did you mean `files`?"),
    ("    sources: [{files: /x, volume: y}]\n", "5:27: `files` and `volume` are given for one `sources`"),
    ("    sources:\n    - volume:\n      name: x\n", "6:13: `volume` has no value\n7:7: `name` is no key of a source | Indent it further, so that it belongs to `volume`."),
    ("    sources: [files: /x, files: /x]\n", "5:26: this source is given twice, here and at /c/m.yaml:5"),
    ("    sources: [files: [/x, /y, /x]]\n", "5:31: `/x` is given twice"),
    ("    sources: [files: {paths: /x, exclud: a}]\n", "5:34: `exclud` is no key of `files` | Did you mean `exclude`?"),
    ("    sources: [files: {paths: /x, exclude: '[a'}]\n", "5:43: `exclude` has `[a`"),
    ("    sources: [postgres: {user: x}]\n", "5:25: `postgres` has neither `container` nor `host` | Add `container` or `host`."),
    ("    sources: [postgres: {container: x, host: y}]\n", "5:40: `postgres` has both `container` and `host`"),
    ("    sources: [postgres: {host: y, port: 99999, tls: ful}]\n", "5:41: `port` is `99999`, which is not a number from 1 to 65535\n5:53: `tls` is `ful`"),
    ("    sources: [command: pg_dump]\n", "5:24: `command` is a single value | Write a list"),
    ("    sources: [n8n: {url: 'n8n:5678', api_key: x}]\n", "5:26: `url` is `n8n:5678`\n5:47: `api_key` holds the secret itself"),
    ("    sources: [http: {name: x, url: 'http://h', export: [{request: GET /}]}]\n", "5:57: `export` has no `store`"),
    ("    sources: [files: /x]\n    to: q\n", "6:9: `to` names `q`, which is no repository | Did you mean `r`?"),
    ("    sources: [files: /x]\n    to: [r, r]\n", "6:13: `r` is given twice"),
    ("    sources: [files: /x]\n    schedule: 0 2 * *\n", "6:15: `schedule` is `0 2 * *`, which is not a schedule such as `0 2 * * *` or `@daily` | This has 4 fields, not 5; the fields are"),
    ("    sources: [files: /x]\n    schedule: 0 2 30 2 *\n", "6:15: `schedule` is `0 2 30 2 *`, which is not a schedule such as `0 2 * * *` or `@daily` | No day fits this"),
    ("    sources: [files: /x]\n    timezone: Europe/Berlim\n", "6:15: `timezone` is `Europe/Berlim`, which is not a time zone"),
    ("    sources: [files: /x]\n    keep: {daly: 7}\n", "6:12: `daly` is no key of `keep` | Did you mean `daily`?"),
    ("    sources: [files: /x]\n    keep: {daily: many, within: 1w, days: 0}\n", "6:19: `daily` is `many`\n6:33: `within` is `1w`\n6:43: `days` is `0`"),
    ("    sources: [files: /x]\n    keep: {daily: 0}\n", "6:11: `keep` keeps nothing"),
    ("    sources: [files: /x]\n    keep: {}\n", "6:11: `keep` keeps nothing"),
    ("    sources: [files: /x]\n    keep: 7\n", "6:11: `keep` is a single value"),
    ("    sources: [files: /x]\n    exclude: ['a', '']\n", "6:20: `exclude` is empty"),
    ("    sources: [files: /x]\n    exclude_regex: '('\n", "6:20: `exclude_regex` has `(`"),
    ("    sources: [files: /x]\n    exclude_larger_than: big\n", "6:26: `exclude_larger_than` is `big`, which is not a size"),
    ("    sources: [files: /x]\n    stop: always\n", "6:11: `stop` is `always`, which is not `auto` or `never`"),
    ("    sources: [files: /x]\n    skip: [a]\n", "6:11: `skip` is a list"),
    ("    sources: [files: /x]\n    drill: {nouns: {a: b}}\n", "6:12: `drill` has no `every`"),
    ("    sources: [files: /x]\n    drill: {every: fortnight}\n", "6:20: `every` is `fortnight`"),
];

#[test]
fn problems_of_jobs() {
    assert_all(JOBS, of_job);
}

#[rustfmt::skip]
const NOTIFICATIONS: &[Case] = &[
    ("{}\n", "6:9: `notify` is a map | Write a list"),
    ("[discord: {webhook: 'https://x'}]\n", "6:29: `webhook` holds the secret itself"),
    ("[discrd: {webhook: {env: X}}]\n", "6:10: `discrd` is no key of a notification | Did you mean `discord`?"),
    ("[{ntfy: {topic: t}, on: [failed]}]\n", "6:34: `on` is `failed`, which is not"),
    ("[{ntfy: {topic: t}, on: failure, to: x}]\n", "6:42: `to` is no key of a notification"),
    ("[{ntfy: {topic: t}, on: [failure, failure]}]\n", "6:43: `failure` is given twice"),
    ("[email: {to: admin, smtp: host}]\n", "6:22: `admin` is no mail address\n6:35: `smtp` is `host`, which has no port"),
    ("[github_issue: {repository: x, token: {env: T}}]\n", "6:37: `repository` is `x`, which is not owner and name"),
    ("[healthchecks: hc.example.org/1]\n", "6:24: `healthchecks` is `hc.example.org/1`, which is not an address"),
];

#[test]
fn problems_of_notifications() {
    assert_all(NOTIFICATIONS, |text| {
        problems(&format!("{REPOSITORY}{JOB}notify: {text}"))
    });
}

#[test]
fn nothing_wrong_is_nothing_said() {
    assert_eq!(problems(&format!("{REPOSITORY}{JOB}")), "");
}
