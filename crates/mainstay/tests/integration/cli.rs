//! The command line: exit codes, messages, hints, and each command once.

use crate::scene::{Scene, wait_until};
use insta::assert_snapshot;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

#[test]
fn no_repository_is_10() {
    assert_snapshot!(Scene::empty().run(&["snapshots"]), @r"
    exit 10
    error: there is no repository in `repository`
    hint: Check the address, or create a repository there with `mainstay init`.
    ");
}

#[test]
fn wrong_password_is_12() {
    let scene = Scene::with_repository();
    fs::write(scene.path("password"), "another").unwrap();
    let ended = scene.run(&["snapshots"]);
    assert_eq!(ended.code, 12);
    assert!(ended.stderr.contains("hint: Check the password"), "{ended}");
    assert!(!ended.stderr.contains("key list"), "{ended}");
    assert!(!ended.to_string().contains("another"));
}

#[test]
fn wrong_usage_is_2_and_names_the_way_out() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run(&["-r", "swift:host:/x", "snapshots"]), @r"
    exit 2
    error: cannot use the repository's address: open `` in `swift:host:/x`: wrong address or options: stores of kind `swift:` are not supported yet
    hint: Write a directory, or an address such as `s3:https://HOST/BUCKET/PREFIX`, `sftp://USER@HOST/PATH` or `rclone:REMOTE:PATH`; the guide lists all kinds.
    ");
    assert_snapshot!(scene.run(&["forget"]), @r"
    exit 2
    error: neither rules nor snapshots are given
    hint: Say what to keep, for example `--keep-daily 7 --keep-weekly 5 --keep-monthly 12`.
    ");
    assert_snapshot!(scene.run(&["-o", "s3.regoin=x", "init"]), @r"
    exit 2
    error: there is no extended option `s3.regoin`
    hint: Write `-o KEY=VALUE`; the keys are s3.endpoint, s3.region, s3.path-style, s3.storage-class, s3.ca-file, s3.connections, s3.checksums, s3.profile, s3.anonymous, sftp.user, sftp.key-file, sftp.host-key, sftp.known-hosts, sftp.connections, rclone.program, rclone.args, rclone.connections, ca-file, connections, azure.endpoint, gcs.endpoint, gcs.anonymous.
    ");
    assert_snapshot!(scene.run(&["bakcup"]), @r"
    exit 2
    error: unrecognized subcommand 'bakcup'

      tip: a similar subcommand exists: 'backup'

    Usage: mainstay [OPTIONS] <COMMAND>

    hint: Write `backup` if that is what you mean; `--help` shows what else there is.
    ");
    assert_snapshot!(scene.run(&["ls", "--json"]), @r#"
    exit 2
    {"code":2,"hint":"Add `--help` to the command to see what it takes.","message":"the following required arguments were not provided: <SNAPSHOT>","message_type":"exit_error"}
    "#);
}

#[test]
fn a_password_given_twice_or_not_at_all_is_2() {
    let scene = Scene::empty();
    assert_snapshot!(scene.ended(scene.command().arg("init").env("MAINSTAY_PASSWORD", "x")), @r"
    exit 2
    error: the password of the repository is given twice, by `MAINSTAY_PASSWORD_FILE` and `MAINSTAY_PASSWORD`
    hint: Give it in one way only.
    ");
    fs::write(scene.path("password"), "\n").unwrap();
    assert_snapshot!(scene.run(&["init"]), @r"
    exit 2
    error: the password file `password` is empty
    hint: An empty password protects nothing: choose another one.
    ");
    fs::remove_file(scene.path("password")).unwrap();
    assert_snapshot!(scene.run(&["init"]), @r"
    exit 2
    error: cannot read the password file `password`: No such file or directory (os error 2)
    hint: Check the file's path and permissions.
    ");
    assert!(!scene.path("repository").exists());
}

#[test]
fn errors_are_json_when_json_is_asked_for() {
    let ended = Scene::empty().run(&["--json", "snapshots"]);
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(
        (error["message_type"].as_str(), error["code"].as_i64()),
        (Some("exit_error"), Some(10))
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn help_lists_the_exit_codes_and_every_variable() {
    let help = Scene::empty().ok(&["--help"]);
    for (_, code, meaning) in mainstay::exit::TABLE {
        assert!(help.contains(&format!("{code:>3}  {meaning}")), "{code}");
    }
    for variable in mainstay::config::env::ALL {
        assert!(help.contains(variable.name), "{}", variable.name);
    }
}

#[test]
fn what_was_backed_up_is_listed_and_restored() {
    let scene = Scene::with_snapshot();
    let source = scene.path("source");
    let listing = scene.ok(&["ls", &format!("latest:{}", source.display())]);
    assert_eq!(listing, "/b.txt\n/folder\n/folder/a.txt\n");
    scene.ok(&[
        "restore",
        &format!("latest:{}", source.display()),
        "--target",
        "out",
        "--verify",
    ]);
    assert_eq!(fs::read(scene.path("out/folder/a.txt")).unwrap(), b"content of a\n");
    let snapshots: Value = serde_json::from_str(&scene.ok(&["snapshots", "--json"])).unwrap();
    assert_eq!(snapshots.as_array().unwrap().len(), 1);
    assert_eq!(scene.objects("locks").len(), 0);
}

#[test]
fn verbose_backups_list_what_changed() {
    let scene = Scene::with_snapshot();
    fs::write(scene.path("source/b.txt"), "other content of b\n").unwrap();
    std::os::unix::fs::symlink("b.txt", scene.path("source/link")).unwrap();
    let listed = |options: &[&str]| {
        let output = scene.ok(&[&["backup", "source", "--dry-run"], options].concat());
        let mut lines: Vec<String> = output
            .lines()
            .filter(|line| line.contains("source/"))
            .map(|line| line.replace("[dir]/source", ""))
            .collect();
        lines.sort();
        lines.join("\n")
    };
    assert_snapshot!(listed(&["-v"]), @r"
    changed    /b.txt  (19 B)
    new        /link  (0 B)
    ");
    assert_snapshot!(listed(&["-vv"]), @r"
    changed    /b.txt  (19 B)
    new        /link  (0 B)
    unchanged  /folder/a.txt  (13 B)
    ");
    assert_eq!(listed(&[]), "");
}

#[test]
fn a_dump_to_a_file_appears_when_it_is_complete() {
    let scene = Scene::with_snapshot();
    let file = scene.path("source/b.txt").display().to_string();
    scene.ok(&["dump", "latest", &file, "--target", "copy.txt"]);
    assert_eq!(fs::read(scene.path("copy.txt")).unwrap(), b"content of b\n");
    assert_eq!(
        fs::metadata(scene.path("copy.txt")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    scene
        .objects("data")
        .iter()
        .for_each(|pack| fs::remove_file(pack).unwrap());
    let failed = scene.run(&["--no-cache", "dump", "latest", &file, "--target", "other.txt"]);
    assert_ne!(failed.code, 0);
    assert!(!scene.path("other.txt").exists());
}

#[test]
fn a_sibling_repository_stores_what_is_copied_and_what_is_backed_up_once() {
    let scene = Scene::with_repository();
    fs::write(scene.path("source/large"), testkit::tree::content(7, 6_000_000)).unwrap();
    for options in [&["--chunker", "rabin"][..], &["--chunker", "fastcdc"]] {
        let _: Option<()> = fs::remove_dir_all(scene.path("first")).ok();
        let _: Option<()> = fs::remove_dir_all(scene.path("second")).ok();
        scene.ok(&[&["-r", "first", "init"], options].concat());
        scene.ok(&["-r", "first", "backup", "source"]);
        let from = ["--from-repo", "first", "--from-password-file", "password"];
        scene.ok(&[&["-r", "second", "init", "--copy-chunker-params"], &from[..]].concat());
        scene.ok(&[&["-r", "second", "copy"], &from[..]].concat());
        let summary = scene.ok(&["-r", "second", "--json", "backup", "--force", "source"]);
        let summary: Value = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
        assert_eq!(summary["data_blobs"], 0, "{options:?}: {summary:#}");
    }
}

#[test]
fn a_source_that_is_gone_stores_no_snapshot() {
    let scene = Scene::with_repository();
    assert_snapshot!(scene.run(&["backup", "source", "gone"]), @r"
    exit 1
    error: cannot back up `[dir]/gone`: No such file or directory (os error 2)
    hint: Check the path's spelling, and that everything is mounted.
    ");
    assert_eq!(scene.objects("snapshots").len(), 0);
}

#[test]
fn a_command_that_fails_stores_no_snapshot() {
    let scene = Scene::with_repository();
    let run = |script| {
        scene.run(&[
            "backup",
            "-q",
            "--stdin-from-command",
            "--stdin-filename",
            "dump.sql",
            "--",
            "sh",
            "-c",
            script,
        ])
    };
    assert_snapshot!(run("echo half; echo no such table >&2; exit 3"), @r"
    exit 1
    no such table
    error: the command `sh` failed: exit status: 3: no such table; no snapshot is stored
    hint: Run the command by itself to see what is wrong.
    ");
    assert_snapshot!(run("true"), @r"
    exit 1
    error: nothing came from the command `sh`; no snapshot is stored
    hint: Check the command that was to produce the data; `--allow-empty` stores an empty file all the same.
    ");
    assert_eq!(scene.objects("snapshots").len(), 0);
    assert_eq!(run("echo whole").code, 0);
    assert_eq!(scene.ok(&["ls", "latest"]), "/dump.sql\n");
}

#[test]
fn a_command_does_not_see_our_variables() {
    let scene = Scene::with_repository();
    let script = "env | grep MAINSTAY_ && exit 1; echo fine";
    assert_eq!(
        scene
            .run(&["backup", "-q", "--stdin-from-command", "--", "sh", "-c", script])
            .code,
        0
    );
}

#[test]
fn an_empty_standard_input_stores_no_snapshot() {
    let scene = Scene::with_repository();
    let ended = scene.ended(scene.command().args(["backup", "--stdin"]).write_stdin(""));
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(scene.objects("snapshots").len(), 0);
}

#[test]
fn an_interrupted_backup_is_130_and_leaves_no_lock() {
    let scene = Scene::with_repository();
    let mut running = scene.start(&["backup", "--stdin"]);
    wait_until("the lock", || scene.objects("locks").len() == 1);
    let prune = scene.run(&["prune"]);
    assert_eq!(prune.code, 11, "{prune}");
    assert!(prune.stderr.contains("--retry-lock"), "{prune}");
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert_eq!(scene.objects("locks").len(), 0);
}

#[test]
fn damage_is_20_for_check_and_3_for_restore() {
    let scene = Scene::with_snapshot();
    // Every pack in turn: those of files and those of directories.
    for (number, pack) in scene.objects("data").into_iter().enumerate() {
        // A new one each time: files that are there already need no blobs.
        let target = format!("out-{number}");
        let content = fs::read(&pack).unwrap();
        fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
        let mut changed = content.clone();
        changed[5] ^= 1;
        fs::write(&pack, &changed).unwrap();
        let check = scene.run(&["check", "--read-data"]);
        assert_eq!(check.code, 20, "{check}");
        assert!(check.stdout.contains("DAMAGE"), "{check}");
        let restore = scene.run(&["restore", "latest", "--target", &target]);
        assert_eq!(restore.code, 3, "{restore}");
        fs::write(&pack, content).unwrap();
    }
    assert_eq!(scene.run(&["check", "--read-data"]).code, 0);
}

#[test]
fn forgetting_everything_is_refused() {
    let scene = Scene::with_snapshot();
    assert_eq!(scene.run(&["forget", "--keep-tag", "nothing-has-it"]).code, 1);
    scene.ok(&["backup", "source", "--tag", "second"]);
    scene.ok(&["forget", "--keep-last", "1", "--dry-run", "--prune"]);
    assert_eq!(scene.objects("snapshots").len(), 2);
    let text = scene.ok(&["forget", "--keep-last", "1", "--prune"]);
    assert!(
        text.contains("no rule keeps it") && text.contains("last snapshot"),
        "{text}"
    );
    assert_eq!(scene.objects("snapshots").len(), 1);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_no_dead_end() {
    let scene = Scene::with_snapshot();
    let sound = scene.objects("snapshots");
    for command in ["repair", "forget"] {
        scene.ok(&["backup", "source", "--tag", "second"]);
        let damaged = scene
            .objects("snapshots")
            .into_iter()
            .find(|path| !sound.contains(path))
            .unwrap();
        let id = damaged.file_name().unwrap().to_string_lossy().into_owned();
        fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&damaged, "nothing").unwrap();
        assert_eq!(scene.run(&["check"]).code, 20);
        assert_eq!(scene.run(&["prune"]).code, 1);
        let looked = scene.run(&["repair", "snapshots"]);
        assert!(
            looked.code == 3 && looked.stdout.contains("`--forget` removes it"),
            "{looked}"
        );
        let arguments = match command {
            "repair" => vec!["repair", "snapshots", "--forget"],
            _ => vec!["forget", &id[..8], "--prune"],
        };
        let planned = scene.run(&[&arguments[..], &["--dry-run"]].concat());
        assert!(planned.code == 0 && planned.stdout.contains(&id), "{planned}");
        assert!(damaged.exists());
        let done = scene.run(&arguments);
        assert!(done.code == 0 && done.stdout.contains(&id), "{done}");
        assert_eq!(scene.objects("snapshots"), sound);
        scene.ok(&["check"]);
        scene.ok(&["prune"]);
    }
    let gone = scene.run(&["forget", &"0".repeat(64)]);
    assert!(gone.code == 1 && gone.stderr.contains("was not found"), "{gone}");
}

#[test]
fn forget_takes_restic_s_short_options() {
    let scene = Scene::with_snapshot();
    for tag in ["second", "third"] {
        scene.ok(&["backup", "source", "--tag", tag]);
    }
    let text = scene.ok(&["forget", "-H", "24", "-d", "7", "--dry-run"]);
    assert!(
        text.contains("hourly snapshot") && text.contains("1 snapshot kept, 2 would"),
        "{text}"
    );
    let compact = scene.ok(&["forget", "-H", "24", "-c", "--dry-run"]);
    assert!(
        !compact.contains("hourly snapshot") && compact.contains("keep"),
        "{compact}"
    );
    let newest = scene.ok(&["forget", "latest"]);
    assert!(
        newest.contains("third   named") && scene.objects("snapshots").len() == 2,
        "{newest}"
    );
    let older = scene.ok(&["forget", "latest", "--tag", "second"]);
    assert!(older.contains("second  named"), "{older}");
}

#[test]
fn what_does_not_exist_is_said_not_to() {
    let scene = Scene::with_snapshot();
    scene.ok(&["-r", "second", "init"]);
    let note = "no snapshot fits `--host`; `mainstay snapshots` lists all there are\n";
    for arguments in [
        &["forget", "--host", "typo", "--keep-last", "1"][..],
        &["snapshots", "--host", "typo"],
        &["stats", "--host", "typo"],
        &["tag", "--host", "typo", "--add", "x"],
        &[
            "-r",
            "second",
            "copy",
            "--from-repo",
            "repository",
            "--from-password-file",
            "password",
            "--host",
            "typo",
        ],
    ] {
        let ended = scene.run(arguments);
        assert!(ended.code == 0 && ended.stderr.contains(note), "{arguments:?}: {ended}");
    }
    assert_eq!(scene.run(&["-q", "snapshots", "--host", "typo"]).stderr, "");
    assert_snapshot!(scene.run(&["ls", "latest", "/nope"]), @r"
    exit 1
    error: path `/nope` was not found
    hint: List what the snapshot holds with `mainstay ls SNAPSHOT`.
    ");
    let source = scene.path("source").display().to_string();
    let relative = scene.ok(&["ls", "latest", &source[1..]]);
    assert!(relative.contains("b.txt"), "{relative}");
}

#[test]
fn files_of_patterns_name_variables_and_escape_wildcards() {
    let scene = Scene::with_repository();
    for name in ["source/*", "source/$x", "source/kept"] {
        fs::write(scene.path(name), "x").unwrap();
    }
    fs::write(scene.path("excludes"), "$PLACE/folder\n${PLACE}/b.txt\n*/$$x\n").unwrap();
    let mut command = scene.command();
    command.env("PLACE", scene.path("source"));
    let ended = scene.ended(command.args(["backup", "source", "--exclude-file", "excludes"]));
    assert_eq!(ended.code, 0, "{ended}");
    let root = format!("latest:{}", scene.path("source").display());
    assert_eq!(scene.ok(&["ls", &root]), "/*\n/kept\n");
    fs::write(scene.path("list"), "source/\\*\n").unwrap();
    scene.ok(&["backup", "--files-from", "list"]);
    assert_eq!(scene.ok(&["ls", &root]), "/*\n");
}

#[test]
fn restic_s_small_options_are_understood() {
    let scene = Scene::empty();
    let refused = scene.run(&["init", "--repository-version", "1"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("leave the option out"),
        "{refused}"
    );
    scene.ok(&["init", "--repository-version", "stable"]);
    fs::create_dir_all(scene.path("source/folder")).unwrap();
    fs::write(scene.path("source/folder/a.txt"), "content of a\n").unwrap();
    scene.ok(&["backup", "source", "--no-scan"]);
    fs::write(scene.path("next"), "next secret").unwrap();
    scene.ok(&[
        "key",
        "add",
        "--new-password-file",
        "next",
        "--user",
        "ann",
        "--host",
        "attic",
    ]);
    let keys: Value = serde_json::from_str(&scene.ok(&["key", "list", "--json"])).unwrap();
    let is_hers = |key: &Value| key["userName"] == "ann" && key["hostName"] == "attic";
    assert!(keys.as_array().unwrap().iter().any(is_hers), "{keys}");
    let tree: Value = serde_json::from_str(&scene.ok(&[
        "cat",
        "tree",
        &format!("latest:{}", scene.path("source/folder").display()),
    ]))
    .unwrap();
    assert_eq!(tree["nodes"][0]["name"], "a.txt");
    let blob = tree["nodes"][0]["content"][0].as_str().unwrap();
    let found = scene.ok(&["find", "--blob", blob, "--show-pack-id"]);
    let pack = scene
        .objects("data")
        .into_iter()
        .find(|pack| found.contains(&*pack.file_name().unwrap().to_string_lossy()));
    assert!(pack.is_some() && found.contains("in pack "), "{found}");
    let found: Value = serde_json::from_str(&scene.ok(&["find", "--blob", blob, "--show-pack-id", "--json"])).unwrap();
    assert_eq!(found["pack"].as_str().map(str::len), Some(64));
    let master: Value = serde_json::from_str(&scene.ok(&["cat", "masterkey"])).unwrap();
    assert!(master["mac"]["k"].is_string() && master["encrypt"].is_string());
}

#[test]
fn hints_fit_what_failed() {
    let scene = Scene::with_repository();
    for (arguments, hint) in [
        (
            ["key", "remove", &"0".repeat(20)],
            "hint: List the keys with `mainstay key list`.",
        ),
        (
            ["key", "remove", &"0".repeat(64)],
            "hint: List the keys with `mainstay key list`.",
        ),
        (
            ["cat", "pack", &"0".repeat(64)],
            "hint: List the packs with `mainstay list packs`.",
        ),
    ] {
        let ended = scene.run(&arguments);
        assert!(ended.code == 1 && ended.stderr.contains(hint), "{arguments:?}: {ended}");
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = scene.start_with(&["snapshots"], full, std::process::Stdio::piped());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        text.contains("hint: Free space where standard output is written to"),
        "{text}"
    );
}

#[test]
fn keys_are_added_and_removed() {
    let scene = Scene::with_snapshot();
    fs::write(scene.path("next"), "next secret").unwrap();
    scene.ok(&["key", "passwd", "--new-password-file", "next"]);
    assert_eq!(scene.run(&["snapshots"]).code, 12);
    let keys = scene.ok(&["-p", "next", "key", "list"]);
    assert_eq!(keys.matches("in use").count(), 1, "{keys}");
    let id = keys.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let refused = scene.run(&["-p", "next", "key", "remove", &id]);
    assert_eq!(refused.code, 1, "{refused}");
}

#[test]
fn tags_statistics_and_copies() {
    let scene = Scene::with_snapshot();
    scene.ok(&["tag", "--add", "kept", "latest"]);
    let snapshots = scene.ok(&["snapshots", "--tag", "kept"]);
    assert!(snapshots.contains("1 snapshot"), "{snapshots}");
    let stats: Value = serde_json::from_str(&scene.ok(&["stats", "--json"])).unwrap();
    assert_eq!(stats["total_size"], 26);
    scene.ok(&["-r", "second", "init"]);
    let copy = [
        "-r",
        "second",
        "copy",
        "--from-repo",
        "repository",
        "--from-password-file",
        "password",
    ];
    assert!(scene.ok(&copy).contains("copied 1 snapshot"));
    assert!(scene.ok(&copy).contains("copied 0 snapshots"));
}

#[test]
fn quickstart_works_twice() {
    let scene = Scene::empty();
    for _ in 0..2 {
        let ended = scene.ended(scene.command().arg("quickstart").env("MAINSTAY_STATE_DIR", "state"));
        assert!(ended.stdout.starts_with("RESTORE OK — 7 files, "), "{ended}");
    }
    let mode = |path| fs::metadata(scene.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("state"), mode("state/password"), mode("state/repository")),
        (0o700, 0o600, 0o700)
    );
    assert_eq!(fs::read_dir(scene.path("state")).unwrap().count(), 3);
}

#[test]
fn the_repository_is_left_out_of_its_own_backup() {
    let scene = Scene::with_repository();
    let ended = scene.run(&["backup", "."]);
    assert!(
        ended.code == 0 && ended.stderr.contains("leaving out `[dir]/repository`"),
        "{ended}"
    );
    assert!(!scene.ok(&["ls", "latest"]).contains("repository"));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let scene = Scene::with_snapshot();
    // The writing end of a pipe whose reading end is closed.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = scene.start_with_output(&["ls", "latest"], writer);
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

#[test]
fn completions_and_manual_pages_are_written() {
    let scene = Scene::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(scene.ok(&["completions", shell]).contains("stdin-from-command"));
    }
    let script = scene.ok(&["completions", "bash"]);
    assert!(
        script.contains("\"off fast auto max\"") && script.contains("\"host,paths host "),
        "{script}"
    );
    let levels = scene.run(&["--compression", "7", "completions", "bash"]);
    assert_eq!(levels.code, 0, "{levels}");
    fs::create_dir(scene.path("man")).unwrap();
    scene.ok(&["man", "man"]);
    assert!(
        fs::read_to_string(scene.path("man/mainstay-backup.1"))
            .unwrap()
            .contains("exclude")
    );
}

/// What bash offers after these words, the last of which is being typed.
#[expect(clippy::disallowed_methods, reason = "bash is the judge")]
fn completed_by_bash(scene: &Scene, words: &[&str]) -> Vec<String> {
    let program = Path::new(assert_cmd::cargo::cargo_bin!("mainstay")).parent().unwrap();
    let script = r#"
        source <(mainstay completions bash --names)
        COMP_WORDS=(mainstay "$@") COMP_CWORD=$# COMP_TYPE=9
        _clap_complete_mainstay mainstay "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script, "bash"])
        .args(words)
        .current_dir(scene.path(""));
    bash.env_clear().env("HOME", scene.path("home"));
    let output = bash
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn names_of_the_configuration_are_completed() {
    let scene = Scene::empty();
    let config = |name: &str| {
        let repositories =
            format!("{{{name}: {{url: ./a, password: {{file: p}}}}, offsite: {{url: ./b, password: {{file: p}}}}}}");
        // Names are completed even where something is wrong.
        format!("repositories: {repositories}\njobs: {{nightly: {{to: nowhere}}, weekly: {{}}}}\n")
    };
    fs::write(scene.path("mainstay.yaml"), config("main")).unwrap();
    fs::write(scene.path("other.yaml"), config("other")).unwrap();
    let offered = |words: &[&str]| completed_by_bash(&scene, words);
    let repositories = offered(&["-r", ""]);
    assert!(
        repositories.starts_with(&["main".to_owned(), "offsite".to_owned()]),
        "{repositories:?}"
    );
    assert!(
        repositories.contains(&"password".to_owned()),
        "paths are addresses too: {repositories:?}"
    );
    assert_eq!(offered(&["snapshots", "--repo", "off"]), ["offsite"]);
    assert_eq!(offered(&["copy", "--from-repo", "mai"]), ["main", "mainstay.yaml"]);
    assert_eq!(
        offered(&["--config", "other.yaml", "-r", "oth"]),
        ["other", "other.yaml"]
    );
    for words in [&["run", ""] as &[&str], &["sync", ""], &["snapshots", "--job", ""]] {
        let jobs = offered(words);
        assert!(
            jobs.starts_with(&["nightly".to_owned(), "weekly".to_owned()]),
            "{words:?}: {jobs:?}"
        );
    }
    assert_eq!(offered(&["run", "week"]), ["weekly"]);
    assert_eq!(offered(&["doctor", "o"]), ["offsite"]);
    assert_eq!(offered(&["snap"]), ["snapshots"]);
    assert_eq!(offered(&["completions", "ba"]), ["bash"]);
    fs::write(scene.path("mainstay.yaml"), "{").unwrap();
    assert_eq!(offered(&["run", "n"]), [""; 0]);
    for shell in ["zsh", "fish"] {
        assert!(
            scene
                .ok(&["completions", shell, "--names"])
                .contains("MAINSTAY_COMPLETE")
        );
    }
}

#[test]
fn no_lock_is_for_reading_only() {
    let scene = Scene::with_snapshot();
    assert_eq!(scene.run(&["--no-lock", "snapshots"]).code, 0);
    assert_eq!(scene.run(&["--no-lock", "prune"]).code, 2);
    assert_eq!(scene.run(&["--no-lock", "backup", "source"]).code, 2);
}

#[test]
fn files_of_patterns_for_any_case_choose_what_is_restored() {
    let scene = Scene::with_snapshot();
    fs::write(scene.path("patterns"), "A.TXT\n").unwrap();
    let restore = |option: &str| scene.run(&["restore", "latest", "--target", "target", option, "patterns"]);
    assert_eq!(restore("--include-file").code, 1);
    assert_eq!(restore("--iinclude-file").code, 0);
    let restored = scene
        .path("target")
        .join(scene.path("source").strip_prefix("/").unwrap());
    assert!(restored.join("folder/a.txt").exists() && !restored.join("b.txt").exists());
}
