//! A Docker engine of its own for a test, and containers that see the programs of this host.
//!
//! No image can be fetched where tests run. A container's image is empty but for links; it sees `/usr` of the host, read-only, and so
//! has a real PostgreSQL or whatever is installed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A Docker engine that is stopped when this is dropped, with everything in it.
pub struct DockerEngine {
    daemon: Child,
    directory: TempDir,
}

impl DockerEngine {
    /// Start one. It takes root.
    ///
    /// # Panics
    /// When it does not start.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let log = File::create(path("log")).expect("a log file");
        let daemon = Command::new("dockerd")
            .arg("--host")
            .arg(format!("unix://{}", path("docker.sock").display()))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .args(["--bridge=none", "--iptables=false", "--storage-driver=vfs"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy of the log file"))
            .stderr(log)
            .spawn()
            .expect("dockerd is installed by `cargo xtask setup`");
        let engine = Self { daemon, directory };
        let begin = Instant::now();
        while !engine.docker(&["version"]).status.success() {
            let log = || fs::read_to_string(engine.directory.path().join("log")).unwrap_or_default();
            assert!(begin.elapsed() < START_TIMEOUT, "dockerd did not start: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        engine
    }

    /// Its address, for `DOCKER_HOST`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    /// Run the `docker` program.
    ///
    /// # Panics
    /// When it is not installed.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    pub fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.args(["--host", &self.address()]).args(arguments);
        command.output().expect("docker is installed by `cargo xtask setup`")
    }

    /// Start a container of an image with this name, which runs `words`, and shares `directories` with the host.
    ///
    /// # Panics
    /// When the engine refuses.
    pub fn run(&self, container: &str, image: &str, directories: &[&Path], words: &[&str]) {
        self.run_with(container, image, directories, &[], words);
    }

    /// The same, with variables such as `NAME=VALUE` in the container.
    ///
    /// # Panics
    /// When the engine refuses.
    pub fn run_with(&self, container: &str, image: &str, directories: &[&Path], variables: &[String], words: &[&str]) {
        self.import(image);
        let mut arguments: Vec<String> = ["run", "--detach", "--network=none", "--name", container]
            .map(str::to_owned)
            .into();
        arguments.push("--volume=/usr:/usr:ro".to_owned());
        for directory in directories {
            arguments.push(format!("--volume={0}:{0}", directory.display()));
        }
        arguments.extend(variables.iter().map(|variable| format!("--env={variable}")));
        arguments.push(image.to_owned());
        arguments.extend(words.iter().map(ToString::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.docker(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// An image with nothing in it but what finds the programs in `/usr`.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    fn import(&self, image: &str) {
        let root = self.directory.path().join("image");
        if !root.exists() {
            for directory in ["etc", "tmp", "run", "var/run", "usr", "root"] {
                fs::create_dir_all(root.join(directory)).expect("a directory");
            }
            // Servers that are not root make their temporary files here.
            fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).expect("the directory is ours");
            for link in ["bin", "sbin", "lib", "lib64"] {
                symlink(PathBuf::from("usr").join(link), root.join(link)).expect("a link");
            }
            for file in ["passwd", "group", "ld.so.cache"] {
                fs::copy(Path::new("/etc").join(file), root.join("etc").join(file)).expect("a file of the system");
            }
        }
        let tar = self.directory.path().join("image.tar");
        let status = Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(&root)
            .arg(".")
            .status();
        assert!(status.is_ok_and(|status| status.success()), "tar failed");
        let imported = self.docker(&["import", &tar.to_string_lossy(), image]);
        assert!(
            imported.status.success(),
            "{}",
            String::from_utf8_lossy(&imported.stderr)
        );
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        let containers = self.docker(&["ps", "--all", "--quiet"]).stdout;
        for container in String::from_utf8_lossy(&containers).lines() {
            self.docker(&["rm", "--force", "--volumes", container]);
        }
        let pid = rustix::process::Pid::from_child(&self.daemon);
        // It takes what it has mounted with it only if it may end by itself.
        let _: Option<()> = rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        let _: Option<_> = self.daemon.wait().ok();
    }
}
