//! Which options go with which command, and with each other.

use cli::CliError;

use super::Line;
use super::command::{Command, NamesService};
use super::table::{Need, TABLE};

/// The options that name a service.
pub(crate) const SERVICE_OPTIONS: [&str; 4] =
    ["tcp-service", "udp-service", "sctp-service", "match"];

/// Refuses options that the command does not take, and complains of those it needs.
///
/// # Errors
/// If the options do not go together. The messages are those of ipvsadm, where it has one.
pub(crate) fn check(line: &Line) -> Result<(), CliError> {
    check_options(line)?;
    check_values(line)?;
    let (words, _) = line.command.words();
    if let Some(word) = line.words.get(words) {
        return Err(CliError::usage(format!(
            "unexpected argument '{word}': `ipvsadm-rs --help` says what goes with a command"
        )));
    }
    if line.command == Command::List {
        check_list(line)?;
    }
    Ok(())
}

fn check_options(line: &Line) -> Result<(), CliError> {
    for given in &line.options {
        if need(given.name, line.command).is_none() {
            return Err(CliError::usage(format!(
                "Illegal '{}' option with the '{}' command",
                given.name, line.command
            )));
        }
    }
    let has_service = SERVICE_OPTIONS.iter().any(|name| line.has(name));
    if line.command.names_service() == NamesService::Always && !has_service {
        return Err(missing("service-address", line.command));
    }
    let mut needed = TABLE.options.iter().map(|option| option.long);
    let missed =
        needed.find(|name| need(name, line.command) == Some(Need::Must) && !line.has(name));
    match missed {
        Some(name) => Err(missing(name, line.command)),
        None => Ok(()),
    }
}

/// Whether a command takes an option, and whether it needs it.
fn need(name: &str, command: Command) -> Option<Need> {
    let option = TABLE.options.iter().find(|option| option.long == name);
    option.and_then(|option| option.meaning.of(command))
}

/// Refuses an option that is given twice with different values.
fn check_values(line: &Line) -> Result<(), CliError> {
    for (at, given) in line.options.iter().enumerate() {
        let before = line.options[..at]
            .iter()
            .find(|other| other.name == given.name && other.value != given.value);
        if let Some(before) = before {
            return Err(CliError::usage(format!(
                "--{} is given twice: {} and {}",
                given.name, before.value, given.value
            )));
        }
    }
    Ok(())
}

/// Refuses more than one form of a list.
fn check_list(line: &Line) -> Result<(), CliError> {
    const FORMS: [&str; 7] = [
        "connection",
        "stats",
        "rate",
        "thresholds",
        "persistent-conn",
        "timeout",
        "sockpair",
    ];
    let forms: Vec<_> = FORMS.into_iter().filter(|name| line.has(name)).collect();
    match forms[..] {
        // `--connection` may stand beside `--sockpair`, which lists conns too.
        [] | [_] | ["connection", "sockpair"] => {}
        [first, second, ..] => return Err(conflict(first, second, line.command)),
    }
    if line.has("cpu") && !line.has("connection") && !line.has("sockpair") {
        return Err(CliError::unsupported("--cpu without --connection"));
    }
    Ok(())
}

/// The error for two options that do not go together.
pub(crate) fn conflict(first: &str, second: &str, command: Command) -> CliError {
    CliError::usage(format!(
        "The option '{first}' conflicts with the '{second}' option in the '{command}' command"
    ))
}

/// The error for an option that a command needs and that is not given.
pub(crate) fn missing(option: &str, command: Command) -> CliError {
    CliError::usage(format!(
        "You need to supply the '{option}' option for the '{command}' command"
    ))
}
