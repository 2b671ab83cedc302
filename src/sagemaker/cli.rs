//! The command line of a container.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::hyperparameters::definitions::{DEFINITIONS, Meaning};
use super::{hyperparameters, train};
use crate::error::{Error, Result};
use crate::run::console;

/// `EX_USAGE` of `sysexits.h`.
const USAGE: u8 = 64;
const TRAIN: &str = "train";
#[cfg(feature = "serve")]
const SERVE: &str = "serve";

/// Does what the arguments ask for, the program's name first, and returns the process's exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().map(with_dashes).collect();
    let is_train = arguments.get(1).is_some_and(|argument| argument == TRAIN);
    let result = match command().try_get_matches_from(&arguments) {
        Err(error) if !error.use_stderr() || !is_train => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing can be done when nobody reads it.
            let _ = error.print();
            return code;
        }
        Err(error) => {
            console::init();
            train::run(Err(usage(&error)))
        }
        Ok(matches) => {
            console::init();
            dispatch(&matches)
        }
    };
    let Err(error) = result else { return 0 };
    match error {
        // Whether anything is kept is in the failure file.
        Error::Stopped(reason) => {
            console::say(format_args!("sagemaker: stopped by {}", reason.name()))
        }
        _ => console::say(format_args!("sagemaker: error: {error}")),
    }
    error.exit_code()
}

fn dispatch(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        #[cfg(feature = "serve")]
        Some((SERVE, _)) => super::serve::run(),
        Some((_, arguments)) => train::run(Ok(arguments)),
        None => Err(Error::Internal("there is no command".into())),
    }
}

fn command() -> Command {
    let train = Command::new(TRAIN)
        .about("Train on the channels of a job, save the model")
        .args(DEFINITIONS.iter().flat_map(arguments));
    let command = Command::new("sagemaker")
        .about("Trains or serves an image classifier in a container of SageMaker's")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommand(train);
    #[cfg(feature = "serve")]
    let command = command
        .subcommand(Command::new(SERVE).about("Answer with a model: GET /ping, POST /invocations"));
    command
}

/// One argument for each name, so that what was written is what messages say.
fn arguments(definition: &'static hyperparameters::definitions::Definition) -> Vec<Arg> {
    let is_shown = |index| index == 0 && matches!(definition.meaning, Meaning::Sets(_));
    let help = match definition.names {
        [_, others @ ..] if !others.is_empty() => {
            format!("{} (also --{})", definition.help, others.join(", --"))
        }
        _ => definition.help.to_owned(),
    };
    let argument = |(index, &name): (usize, &&'static str)| {
        Arg::new(name)
            .long(name)
            .value_name("VALUE")
            .help(help.clone())
            .hide(!is_shown(index))
            .action(ArgAction::Set)
            // The toolkit gives every hyperparameter a value, which may be empty or negative.
            .allow_hyphen_values(true)
    };
    definition.names.iter().enumerate().map(argument).collect()
}

/// `--batch_size` is `--batch-size`.
fn with_dashes(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.starts_with("--") => {
            let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
            let name = name.replace('_', "-");
            value.map_or(name.clone(), |value| format!("{name}={value}")).into()
        }
        _ => argument,
    }
}

fn usage(error: &clap::Error) -> Error {
    let name = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.trim_start_matches('-').to_owned(),
        _ => "arguments".into(),
    };
    let name = name.split([' ', '=']).next().unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument {
        return hyperparameters::unknown(name, "arguments");
    }
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Error::Hyperparameter {
        name: name.to_owned(),
        origin: "arguments".into(),
        reason: format!("cannot be understood: {reason}"),
        remedy: "Arguments are pairs: `--epochs 5 --batch-size 64`; `train --help` has all.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_make_a_command() {
        command().debug_assert();
    }

    #[test]
    fn names_are_written_with_dashes_and_values_are_left_alone() {
        let written = ["--batch_size", "--train_from=a_b", "a_b"].map(|it| with_dashes(it.into()));
        assert_eq!(written, ["--batch-size", "--train-from=a_b", "a_b"].map(OsString::from));
    }
}
