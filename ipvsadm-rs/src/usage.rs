//! Which options go with which command, and with each other, with ipvsadm's own complaints.

use cli::CliError;

use crate::args::{Command, Line};

/// What names a service.
pub const SERVICE_OPTIONS: [&str; 4] = ["tcp-service", "udp-service", "sctp-service", "match"];

/// Options beside the service that a command takes; the first list are those it needs.
const fn rules(command: Command) -> (&'static [&'static str], &'static [&'static str]) {
    match command {
        Command::AddService | Command::EditService => (
            &[],
            &[
                "scheduler",
                "hash-target",
                "sched-flags",
                "conn-timeout",
                "persistent",
                "netmask",
                "ops",
                "expire-quiescent",
                "conn-limit",
                "conn-rate-limit",
                "proxy-protocol",
                "synproxy",
                "uoa",
                "uoa-max-trail",
            ],
        ),
        Command::AddDest | Command::EditDest => (
            &["real-server"],
            &[
                "weight",
                "u-threshold",
                "l-threshold",
                "fullnat",
                "gatewaying",
                "ipip",
                "masquerading",
                "snat",
                "tun-type",
                "tun-port",
                "drain",
            ],
        ),
        Command::DelDest => (&["real-server"], &[]),
        Command::AddLaddr => (&["laddr", "ifname"], &[]),
        Command::DelLaddr => (&["laddr"], &["ifname"]),
        Command::AddDenied | Command::DelDenied => (&["blklst"], &[]),
        Command::AddAllowed | Command::DelAllowed => (&["whtlst"], &[]),
        Command::GetDenied | Command::GetAllowed => (&[], &["numeric", "json"]),
        Command::List => (
            &[],
            &[
                "numeric",
                "connection",
                "exact",
                "stats",
                "rate",
                "thresholds",
                "persistent-conn",
                "timeout",
                "sort",
                "nosort",
                "sockpair",
                "cpu",
                "json",
            ],
        ),
        Command::Save => (&[], &["numeric"]),
        Command::GetLaddr => (&[], &["numeric", "json"]),
        _ => (&[], &[]),
    }
}

/// Whether a command is about one service, and needs it named.
const fn needs_service(command: Command) -> bool {
    matches!(
        command,
        Command::AddService
            | Command::EditService
            | Command::DelService
            | Command::AddDest
            | Command::EditDest
            | Command::DelDest
            | Command::AddLaddr
            | Command::DelLaddr
            | Command::AddDenied
            | Command::DelDenied
            | Command::AddAllowed
            | Command::DelAllowed
    )
}

/// Refuses what the command does not take, and misses what it needs.
///
/// # Errors
/// In ipvsadm's own words, where it has any.
pub fn check(line: &Line) -> Result<(), CliError> {
    check_options(line)?;
    check_values(line)?;
    let words = match line.command {
        Command::SetTimeouts => 3,
        Command::Restore => 1,
        _ => 0,
    };
    if let Some(word) = line.words.get(words) {
        return Err(CliError::usage(format!("unexpected argument '{word}'")));
    }
    if line.command == Command::List {
        check_list(line)?;
    }
    Ok(())
}

fn check_options(line: &Line) -> Result<(), CliError> {
    let (needed, allowed) = rules(line.command);
    let takes_service = needs_service(line.command)
        || matches!(
            line.command,
            Command::List
                | Command::Zero
                | Command::GetLaddr
                | Command::GetDenied
                | Command::GetAllowed
        );
    for given in &line.options {
        let is_service = takes_service && SERVICE_OPTIONS.contains(&given.name);
        if !is_service
            && given.name != "socket"
            && !needed.contains(&given.name)
            && !allowed.contains(&given.name)
        {
            return Err(CliError::usage(format!(
                "Illegal '{}' option with the '{}' command",
                given.name, line.command
            )));
        }
    }
    if needs_service(line.command) && !SERVICE_OPTIONS.iter().any(|name| line.has(name)) {
        return Err(missing("service-address", line.command));
    }
    match needed.iter().find(|name| !line.has(name)) {
        Some(name) => Err(missing(name, line.command)),
        None => Ok(()),
    }
}

/// Of two values for one option, one is a mistake.
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

/// A list has one form.
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
        // A sockpair is looked for among the conns.
        [] | [_] | ["connection", "sockpair"] => {}
        [first, second, ..] => return Err(conflict(first, second, line.command)),
    }
    if line.has("cpu") && !line.has("connection") && !line.has("sockpair") {
        return Err(CliError::unsupported("--cpu without --connection"));
    }
    Ok(())
}

/// Two options that do not go together.
pub fn conflict(first: &str, second: &str, command: Command) -> CliError {
    CliError::usage(format!(
        "The option '{first}' conflicts with the '{second}' option in the '{command}' command"
    ))
}

/// An option that a command cannot do without.
pub fn missing(option: &str, command: Command) -> CliError {
    CliError::usage(format!(
        "You need to supply the '{option}' option for the '{command}' command"
    ))
}
