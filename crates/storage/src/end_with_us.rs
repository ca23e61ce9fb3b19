//! Programs that end when this process is gone, however it went.

use std::io;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::Signal;

/// A program to start, and whoever waits for it.
type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Start a program that the system gives `signal` when this process is gone. It takes the end of the thread that started a program for
/// the end of the process; so one thread starts them all, which lives as long as the process does.
///
/// On other systems than Linux, nobody ends the program then.
///
/// # Errors
/// If it cannot be started.
pub fn spawn_ending_with_us(mut command: Command, signal: Signal) -> io::Result<Child> {
    end_with_us(&mut command, signal);
    let (answer, started) = mpsc::sync_channel(1);
    let gone = || io::Error::other("the thread that starts programs has ended");
    starter().send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

fn starter() -> &'static mpsc::Sender<Order> {
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    STARTER.get_or_init(|| {
        let (orders, ordered) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in ordered {
                // Whoever ordered it waits for the answer.
                let _: Option<()> = answer.send(command.spawn()).ok();
            }
        });
        orders
    })
}

#[cfg(target_os = "linux")]
fn end_with_us(command: &mut Command, signal: Signal) {
    use std::os::unix::process::CommandExt as _;
    let set = move || rustix::process::set_parent_process_death_signal(Some(signal)).map_err(io::Error::from);
    // SAFETY: between fork and exec only what is safe in a signal handler may be called; this is one system call, and its
    // error is a number.
    unsafe { command.pre_exec(set) };
}

#[cfg(not(target_os = "linux"))]
fn end_with_us(_: &mut Command, _: Signal) {}
