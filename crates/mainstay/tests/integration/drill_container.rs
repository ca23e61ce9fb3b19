//! Drills where no server program is on the host: in a container of the database's own image, which leaves nothing.

use crate::contract::configuration;
use crate::jobs::Jobs;
use crate::scene::{Ended, wait_until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::docker::DockerEngine;
use testkit::mongodb_stand_in::MongodbStandIn;

/// Takes the server programs of this host away from whatever follows.
const HIDE: &str = "mount -t tmpfs none /usr/lib/postgresql && mount -t tmpfs none /usr/sbin && \
                    mount --bind /dev/null /usr/bin/redis-server && exec \"$@\"";
const OURS: &str = "label=mainstay.drill";

struct Scene {
    engine: DockerEngine,
    jobs: Jobs,
}

impl Scene {
    /// A container `db` of an image with these files, which runs a script as root.
    fn new(image: &str, files: &[&Path], path: &str, script: &str, source: &str) -> Self {
        let engine = DockerEngine::start();
        engine.import_whole(image, files, path);
        engine.run_script("db", image, &["--volume=/data", "--env=DB_PASSWORD=hush"], script);
        let jobs = Jobs::new(&configuration(source));
        Self { engine, jobs }
    }

    #[expect(clippy::disallowed_methods, reason = "a test that kills the running program")]
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "sh", "-c", HIDE, "sh"]);
        command.arg(assert_cmd::cargo::cargo_bin!("mainstay"));
        command.args(["--config", "mainstay.yaml"]).args(arguments);
        command
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin".into()), ("HOME", self.jobs.scene.path("home"))])
            .env("MAINSTAY_STATE_DIR", self.jobs.scene.path("state"))
            .env("DOCKER_HOST", self.engine.address())
            .current_dir(self.jobs.scene.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| self.jobs.scene.hidden(&String::from_utf8_lossy(bytes));
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    fn drill(&self) -> (i32, Value) {
        let ended = self.run(&["-r", "main", "drill", "latest", "--json", "--quiet"]);
        let last = ended.stdout.lines().last().unwrap_or_default();
        let report = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {ended}"));
        (ended.code, report)
    }

    /// Capture, once the server answers this command.
    fn capture(&self, ready: &[&str]) {
        wait_until("the start of the server", || {
            self.engine.docker(&[&["exec", "db"], ready].concat()).status.success()
        });
        let captured = self.run(&["run", "--init"]);
        assert_eq!(captured.code, 0, "{captured}");
    }

    /// Everything that there is, and how the container of the user is.
    fn state(&self) -> String {
        let told = |words: &[&str]| self.engine.told(words);
        let all = told(&["ps", "--all", "--no-trunc", "--format={{.ID}} {{.Names}} {{.State}}"]);
        let format = "--format={{.Image}} {{json .Mounts}} {{json .Config}} {{.State.StartedAt}} {{.RestartCount}}";
        let (volumes, images) = (
            told(&["volume", "ls", "--quiet"]),
            told(&["image", "ls", "--all", "--quiet"]),
        );
        format!(
            "{all}\n{volumes}\n{images}\n{}",
            self.engine.told(&["inspect", format, "db"])
        )
    }

    fn ours(&self) -> String {
        self.engine
            .told(&["ps", "--all", "--quiet", "--no-trunc", "--filter", OURS])
    }

    /// A drill in a container of the image proves it, and leaves everything as it was.
    fn assert_proven(&self, image: &str, server: &str) {
        let before = self.state();
        let (code, drill) = self.drill();
        assert_eq!((code, &drill["ok"]), (0, &json!(true)), "{drill}");
        for part in drill["parts"].as_array().unwrap() {
            assert_eq!(part["image"], image, "{part}");
            assert!(part["server"].as_str().unwrap().starts_with(server), "{part}");
        }
        assert_eq!(self.state(), before);
    }

    /// A drill finds that something is wrong, in this test, and leaves nothing either.
    fn assert_fails(&self, what: &str) {
        let before = self.state();
        let (code, drill) = self.drill();
        assert_eq!((code, &drill["ok"]), (20, &json!(false)), "{drill}");
        let parts = drill["parts"].as_array().unwrap().iter();
        let mut checks = parts.flat_map(|part| part["checks"].as_array().unwrap());
        let is_it = |check: &Value| check["what"].as_str().unwrap().contains(what) && check["verdict"] == "failed";
        assert!(checks.any(is_it), "{what}: {drill}");
        assert!(
            drill["verdict"].as_str().unwrap().starts_with("RESTORE FAILED"),
            "{drill}"
        );
        assert_eq!(self.state(), before);
    }

    /// A drill cannot prove anything, and says why and what to do.
    fn assert_unproven(&self, why: &str) {
        let ended = self.run(&["-r", "main", "drill", "latest"]);
        assert_eq!(ended.code, 20, "{ended}");
        assert!(
            ended.stdout.contains("RESTORE NOT PROVEN") && ended.stdout.contains(why),
            "{why}: {ended}"
        );
    }
}

fn postgres(assertion: &str, more: &str) -> String {
    format!("      - postgres: {{container: db, user: postgres, name: main, assert: [\"{assertion}\"]{more}}}")
}

fn postgres_scene() -> Scene {
    let bin = testkit::postgres_server::bin();
    let version = bin.parent().unwrap();
    let share = Path::new("/usr/share/postgresql").join(version.file_name().unwrap());
    let start = "initdb -D /tmp/data -U postgres --auth=trust --no-sync --locale=C --encoding=UTF8 >/dev/null && \
                 exec postgres -D /tmp/data -c listen_addresses= -c unix_socket_directories=/var/run/postgresql";
    let engine = DockerEngine::start();
    let zones = Path::new("/usr/share/zoneinfo/Etc");
    engine.import_whole("postgres:own", &[version, &share, zones], bin.to_str().unwrap());
    let options = ["--user=postgres", "--volume=/data", "--env=DB_PASSWORD=hush"];
    engine.run_script("db", "postgres:own", &options, start);
    let scene = Scene {
        engine,
        jobs: Jobs::new(&configuration(&postgres("SELECT count(*) = 2 FROM notes", ""))),
    };
    let sql = |database: &str, sql: &str| {
        scene
            .engine
            .docker(&["exec", "db", "psql", "-U", "postgres", "-qc", sql, database])
    };
    wait_until("the start of the server", || {
        sql("postgres", "SELECT 1").status.success()
    });
    for (database, statement) in [
        ("postgres", "CREATE DATABASE app"),
        ("postgres", "CREATE ROLE clerk"),
        (
            "app",
            "CREATE TABLE notes (id serial PRIMARY KEY, text text); INSERT INTO notes (text) VALUES ('one'), ('zwölf')",
        ),
    ] {
        let done = sql(database, statement);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    scene
}

#[test]
fn heavy_a_postgres_is_proven_in_a_container_of_its_image() {
    let scene = postgres_scene();
    scene.capture(&["true"]);
    scene.assert_proven("postgres:own", "PostgreSQL ");
    let shown = scene.run(&["-r", "main", "drill", "latest"]);
    let place = " in a container of the image `postgres:own`\n";
    assert!(
        shown.code == 0 && shown.stdout.contains(place) && shown.stdout.contains("RESTORE OK"),
        "{shown}"
    );
    // What is wrong is found.
    let is_wrong = "SELECT count(*) = 3 FROM notes";
    scene.jobs.configure(&configuration(&postgres(is_wrong, "")));
    scene.assert_fails(is_wrong);
    let without_rows = postgres("SELECT true", ", arguments: [\"--exclude-table-data=notes\"]");
    scene.jobs.configure(&configuration(&without_rows));
    scene.capture(&["true"]);
    scene.jobs.configure(&configuration(&postgres("SELECT true", "")));
    scene.assert_fails("rows");
    scene
        .jobs
        .configure(&configuration(&postgres("SELECT count(*) = 2 FROM notes", "")));
    scene.capture(&["true"]);
    // Without the container, its image is enough; without the image, nothing is proven.
    scene.engine.told(&["rm", "--force", "--volumes", "db"]);
    let (code, drill) = scene.drill();
    assert_eq!(
        (code, &drill["parts"][1]["image"]),
        (0, &json!("postgres:own")),
        "{drill}"
    );
    scene.engine.told(&["tag", "postgres:own", "postgres:other"]);
    scene.engine.told(&["rmi", "postgres:own"]);
    scene.assert_unproven("the image `postgres:own` is not there (Fetch it with `docker pull postgres:own`");
    let other = postgres("SELECT true", ", drill_image: \"postgres:other\"");
    scene.jobs.configure(&configuration(&other));
    let (code, drill) = scene.drill();
    assert_eq!(
        (code, &drill["parts"][1]["image"]),
        (0, &json!("postgres:other")),
        "{drill}"
    );
    assert_eq!(scene.ours(), "");
}

#[test]
fn heavy_a_drill_that_ends_early_leaves_no_container() {
    let mut scene = postgres_scene();
    scene.capture(&["true"]);
    // A question that takes long: the drill waits in its container.
    let slow = "SELECT pg_sleep(100) IS NOT NULL";
    scene.jobs.configure(&configuration(&postgres(slow, "")));
    let before = scene.state();
    let words = ["-r", "main", "drill", "latest", "--part", "/postgres/main/app.dump"];
    let at_work = |scene: &Scene| {
        let drill = scene.command(&words).spawn().unwrap();
        wait_until("its question", || {
            let ours = scene.ours();
            !ours.is_empty() && {
                let running = scene.engine.docker(&["top", &ours]).stdout;
                String::from_utf8_lossy(&running).contains("pg_sleep")
            }
        });
        drill
    };
    let mut drill = at_work(&scene);
    // It has nothing of the one that is in use, and nobody reaches it.
    let ours = scene.ours();
    let inspected: Value = serde_json::from_str(&scene.engine.told(&["inspect", &ours])).unwrap();
    let (container, host) = (&inspected[0], &inspected[0]["HostConfig"]);
    assert_eq!(
        (&host["NetworkMode"], &host["AutoRemove"]),
        (&json!("none"), &json!(true))
    );
    assert_eq!(
        (&container["Mounts"], &host["RestartPolicy"]["Name"]),
        (&json!([]), &json!("no"))
    );
    assert!(
        !inspected.to_string().contains("PASSWORD") && !inspected.to_string().contains("hush"),
        "{inspected}"
    );
    // Killed, it takes its container with it.
    drill.kill().unwrap();
    drill.wait().unwrap();
    wait_until("the end of its container", || scene.ours().is_empty());
    assert_eq!(scene.state(), before);
    // Asked to end, too.
    let drill = at_work(&scene);
    let pid = rustix::process::Pid::from_child(&drill);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = drill.wait_with_output().unwrap();
    assert_eq!(
        ended.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(scene.state(), before);
    // What is left over all the same goes with the next one, and what is not known to be left over stays.
    let label = container["Config"]["Labels"]["mainstay.drill"].as_str().unwrap();
    let run = |name: &str, label: &str| {
        let label = format!("--label=mainstay.drill={label}");
        scene
            .engine
            .run_script(name, "postgres:own", &[&label], "exec sleep 600");
    };
    run("left", label);
    run("by_hand", "yes");
    run("of_another_host", &label.replacen('-', "+", 1));
    scene
        .jobs
        .configure(&configuration(&postgres("SELECT count(*) = 2 FROM notes", "")));
    let (code, drill) = scene.drill();
    assert_eq!(code, 0, "{drill}");
    let names = scene
        .engine
        .told(&["ps", "--all", "--format={{.Names}}", "--filter", OURS]);
    assert_eq!(names, "of_another_host\nby_hand");
    scene.engine.told(&["rm", "--force", "by_hand", "of_another_host"]);
    // The engine goes under it: that says nothing about the dump.
    scene.jobs.configure(&configuration(&postgres(slow, "")));
    let drill = at_work(&scene);
    scene.engine.kill();
    let ended = drill.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let is_told = said.contains("RESTORE NOT PROVEN") && said.contains("cannot reach the Docker engine");
    assert!(
        ended.status.code() == Some(20) && is_told,
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    scene.assert_unproven("cannot reach the Docker engine");
}

#[test]
fn heavy_a_mariadb_is_proven_in_a_container_of_its_image() {
    let files = [
        "/usr/sbin/mariadbd",
        "/usr/bin/mariadb",
        "/usr/bin/mariadb-dump",
        "/usr/bin/mariadb-install-db",
        "/usr/bin/my_print_defaults",
        "/usr/bin/resolveip",
        "/usr/share/mysql",
    ]
    .map(Path::new);
    let start = "mkdir /tmp/db && chown mysql /tmp/db && mkdir -p /run/mysqld && chown mysql /run/mysqld && \
                 mariadb-install-db --no-defaults --datadir=/tmp/db --user=mysql --auth-root-authentication-method=normal \
                 --skip-test-db >/dev/null && exec mariadbd --no-defaults --datadir=/tmp/db --user=mysql \
                 --bind-address=127.0.0.1 --port=3306 --socket=/run/mysqld/mysqld.sock";
    let source = |assertion: &str| {
        configuration(&format!(
            "      - mariadb: {{container: db, user: root, name: main, assert: [\"{assertion}\"]}}"
        ))
    };
    let scene = Scene::new("mariadb:own", &files, "/usr/sbin", start, "");
    scene.jobs.configure(&source("SELECT COUNT(*) = 2 FROM app.notes"));
    let sql =
        "CREATE DATABASE app; CREATE TABLE app.notes (text TEXT); INSERT INTO app.notes VALUES ('one'), ('zwölf')";
    wait_until("the start of the server", || {
        scene
            .engine
            .docker(&[
                "exec",
                "db",
                "mariadb",
                "--no-defaults",
                "--protocol=tcp",
                "-uroot",
                "-e",
                sql,
            ])
            .status
            .success()
    });
    scene.capture(&["true"]);
    scene.assert_proven("mariadb:own", "MariaDB ");
    let is_wrong = "SELECT COUNT(*) = 3 FROM app.notes";
    scene.jobs.configure(&source(is_wrong));
    scene.assert_fails(is_wrong);
}

#[test]
fn heavy_a_redis_is_proven_in_a_container_of_its_image() {
    let files = ["/usr/bin/redis-server", "/usr/bin/redis-cli"].map(Path::new);
    let start = "exec redis-server --save '' --requirepass hush";
    let source = "      - redis: {container: db, name: cache, password: {file: redis-password}}";
    let scene = Scene::new("redis:own", &files, "/usr/bin", start, source);
    std::fs::write(scene.jobs.scene.path("redis-password"), "hush\n").unwrap();
    let fill = "for i=1,4000 do redis.call('set','n'..i,i) end redis.call('select', 3) redis.call('rpush', 'l', 1, 2)";
    wait_until("the start of the server", || {
        let fill = [
            "exec",
            "--env=REDISCLI_AUTH=hush",
            "db",
            "redis-cli",
            "-e",
            "eval",
            fill,
            "0",
        ];
        scene.engine.docker(&fill).status.success()
    });
    scene.capture(&["true"]);
    scene.assert_proven("redis:own", "redis ");
    let (_, drill) = scene.drill();
    assert_eq!(drill["verdict"], "RESTORE OK — 4001 keys", "{drill}");
    scene.engine.told(&["rm", "--force", "db"]);
    scene.engine.told(&["rmi", "redis:own"]);
    scene.assert_unproven("the image `redis:own` is not there");
}

#[test]
fn heavy_a_mongodb_is_proven_in_a_container_of_its_image() {
    let indexes = json!([{"v": 2, "key": {"_id": 1}, "name": "_id_"}]);
    let people = json!([{"_id": 1, "name": "Anna"}, {"_id": 2, "name": "Ben"}]);
    let server = json!({
        "version": "7.0.5", "tool": "100.9.4", "set": null,
        "databases": {"app": {"people": {"kind": "collection", "indexes": indexes, "documents": people}}},
    });
    let stand_in = MongodbStandIn::start(&server.to_string());
    let directory = stand_in.programs();
    let files = [directory.as_path(), Path::new("/usr/bin/node")];
    let source = "      - mongodb: {container: db, name: main}";
    let scene = Scene::new(
        "mongo:own",
        &files,
        directory.to_str().unwrap(),
        "exec sleep 600",
        source,
    );
    scene.capture(&["true"]);
    scene.assert_proven("mongo:own", "MongoDB 7.0.5");
}
