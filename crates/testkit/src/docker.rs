//! A Docker engine of its own for a test, and containers that see the programs of this host.
//!
//! No image can be fetched where tests run. A container's image is empty but for links; it sees `/usr` of the host, read-only, and so
//! has a real PostgreSQL or whatever is installed.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What scripts of databases use.
const TOOLS: [&str; 28] = [
    "sh", "cat", "id", "mkdir", "chown", "chmod", "test", "sleep", "kill", "sed", "grep", "dirname", "basename",
    "hostname", "uname", "rm", "touch", "ln", "ls", "head", "tail", "env", "mv", "expr", "cut", "tr", "cp", "true",
];

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
        // Some of what is in `/usr` are links into the other one.
        for directory in ["/usr", "/etc/alternatives"] {
            arguments.push(format!("--volume={directory}:{directory}:ro"));
        }
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

    /// An image that needs nothing of this host: it holds `files`, which are programs and directories, with the libraries of the programs
    /// and what scripts use. Programs are looked for along `path`. Whoever starts it as it is gets an error.
    ///
    /// # Panics
    /// When it cannot be made.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    pub fn import_whole(&self, image: &str, files: &[&Path], path: &str) {
        let root = self.directory.path().join("whole");
        for directory in ["etc", "root", "tmp", "run", "var/run/postgresql"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
            let mode = Permissions::from_mode(0o1777);
            fs::set_permissions(root.join(directory), mode).expect("the directory is ours");
        }
        for file in ["passwd", "group"] {
            fs::copy(Path::new("/etc").join(file), root.join("etc").join(file)).expect("a file of the system");
        }
        let tools = TOOLS.map(|tool| PathBuf::from("/usr/bin").join(tool));
        let mut all: BTreeSet<PathBuf> = files.iter().map(|file| file.to_path_buf()).chain(tools).collect();
        all.insert("/bin/sh".into());
        let programs: Vec<PathBuf> = all.iter().flat_map(|file| programs_in(file)).collect();
        let output = Command::new("ldd").args(programs).output().expect("ldd is installed");
        let libraries = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/') && !word.ends_with(':'));
        all.extend(words.map(PathBuf::from));
        // Without entries of their own, the engine makes them so that only root gets through.
        for parent in all.iter().filter_map(|file| file.parent()?.strip_prefix("/").ok()) {
            fs::create_dir_all(root.join(parent)).expect("a directory");
        }
        let tar = self.directory.path().join("image.tar");
        let mut command = Command::new("tar");
        // Its library is larger than everything else, and it is only needed where it is.
        command
            .args(["--dereference", "--hard-dereference", "--exclude=*llvmjit*", "-cf"])
            .arg(&tar);
        command.arg("-C").arg(&root).arg(".").args(["-C", "/"]);
        command.args(all.iter().map(|file| file.strip_prefix("/").expect("an absolute path")));
        assert!(command.status().is_ok_and(|status| status.success()), "tar failed");
        let path = format!("ENV PATH={path}:/usr/bin:/bin");
        let entry = "ENTRYPOINT [\"sh\", \"-c\", \"exit 42\"]";
        let imported = self.docker(&[
            "import",
            "--change",
            &path,
            "--change",
            entry,
            &tar.to_string_lossy(),
            image,
        ]);
        let error = String::from_utf8_lossy(&imported.stderr);
        assert!(imported.status.success(), "{error}");
    }

    /// Start a container of an image that is there, which runs a script, with more options of `docker run`.
    ///
    /// # Panics
    /// When the engine refuses.
    pub fn run_script(&self, container: &str, image: &str, options: &[&str], script: &str) {
        let run = [
            "run",
            "--detach",
            "--network=none",
            "--entrypoint=sh",
            "--name",
            container,
        ];
        let output = self.docker(&[&run[..], options, &[image, "-c", script]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `docker` prints, which has to succeed.
    ///
    /// # Panics
    /// When it fails.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// End it as if its host failed.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        self.daemon.kill().expect("it is our child");
        self.daemon.wait().expect("it is our child");
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

/// Files that the system starts or loads, at `path` and below.
fn programs_in(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a directory").flatten();
        return entries.flat_map(|entry| programs_in(&entry.path())).collect();
    }
    let mut begin = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    if read.is_ok() && begin == *b"\x7fELF" && !path.to_string_lossy().contains("llvmjit") {
        vec![path.to_owned()]
    } else {
        Vec::new()
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
