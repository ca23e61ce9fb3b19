//! The `mainstay` program: parses, runs, and turns errors into exit codes.

use mainstay::{cli, config::env::Environment, exit, interrupt, memory};
use std::process::ExitCode;

fn main() -> ExitCode {
    memory::hand_back_large_buffers();
    match cli::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return ExitCode::from(cli::usage_error(&error, false).code()),
    }
    let (globals, command) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(error) => return ExitCode::from(cli::usage_error(&error, cli::asks_for_json()).code()),
    };
    let json = globals.json;
    let result = interrupt::cancel_on_signals().map_err(Into::into).and_then(|cancel| {
        let context = cli::Context::new(globals, Environment::current(), cancel);
        cli::run(command, &context).map_err(|error| context.explain(error))
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            cli::report(&error, json);
            exit::of(&error)
        }
    };
    ExitCode::from(exit.code())
}
