//! `--help`, from the table.

use cli::HELP_WIDTH;

use super::command::{Command, NamesService};
use super::table::{Meaning, Need, TABLE};

/// Spaces before the lines of a command after its first.
const INDENT: &str = "        ";

const MATCH: &str = "\
MATCH is proto=PROTO and ranges or devices, with commas between:
  proto=tcp|udp|sctp|icmp|icmpv6,af=ipv4|ipv6,src-range=RANGE,dst-range=RANGE,iif=DEVICE,oif=DEVICE
  RANGE is [IP[-IP]][:PORT[-PORT]]; 0.0.0.0 and :: are all addresses
";

/// Everything that `--help` prints.
pub(crate) fn text() -> String {
    let commands = TABLE.options.iter().filter_map(|option| {
        let Meaning::Command(command) = option.meaning else {
            return None;
        };
        Some(usage(&option.usage(), command, option.help))
    });
    let services = TABLE.help(|option| {
        let is_service = matches!(option.meaning, Meaning::Service);
        is_service.then(|| option.help.to_owned())
    });
    let options = TABLE.help(|option| match option.meaning {
        Meaning::TakenBy(_) | Meaning::NeededBy(..) => Some(option.help.to_owned()),
        Meaning::Everywhere => Some(format!("{}; every command", option.help)),
        Meaning::Command(_) | Meaning::Service | Meaning::Absent(_) => None,
    });
    format!(
        "ipvsadm-rs, for dpvsd\n\
         Usage: ipvsadm-rs COMMAND [SERVICE] [OPTION]...\n\n\
         Commands:\n{}\nSERVICE is one of:\n{services}\nOptions:\n{options}\n{MATCH}",
        commands.collect::<String>()
    )
}

/// A command with all that it takes, and its help below.
fn usage(names: &str, command: Command, help: &str) -> String {
    let mut parts = Vec::new();
    match command.names_service() {
        NamesService::Always => parts.push("SERVICE".to_owned()),
        NamesService::Maybe => parts.push("[SERVICE]".to_owned()),
        NamesService::Never => {}
    }
    let of = |wanted: Need| {
        let options = TABLE.options.iter();
        let is_said_once = |meaning| matches!(meaning, Meaning::Everywhere | Meaning::Service);
        options
            .filter(move |option| option.meaning.of(command) == Some(wanted))
            .filter(move |option| !is_said_once(option.meaning))
            .map(|option| option.short_usage())
    };
    parts.extend(of(Need::Must));
    parts.extend(of(Need::May).map(|part| format!("[{part}]")));
    parts.push(command.words().1.to_owned());
    let mut text = String::new();
    let mut line = format!("  {names}");
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if line.len() + 1 + part.len() > HELP_WIDTH {
            text.push_str(&format!("{line}\n"));
            line = format!("{INDENT}{part}");
        } else {
            line.push_str(&format!(" {part}"));
        }
    }
    format!("{text}{line}\n{INDENT}{help}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command_and_option_once_on_short_lines() {
        let text = text();
        for option in TABLE.options {
            let is_absent = matches!(option.meaning, Meaning::Absent(_));
            let listed = text.lines().filter(|line| {
                let line = line.trim_start();
                line == option.usage() || line.starts_with(&format!("{} ", option.usage()))
            });
            assert_eq!(
                listed.count(),
                usize::from(!is_absent),
                "{}",
                option.usage()
            );
        }
        for line in text.lines() {
            assert!(line.len() <= HELP_WIDTH, "{line}");
        }
    }

    #[test]
    fn commands_show_what_they_need_and_what_they_take() {
        let text = text();
        for line in [
            "  -P, --add-laddr SERVICE -z LIP -F DEVICE\n        add a local address",
            "  -Q, --del-laddr SERVICE -z LIP [-F DEVICE] [--force]\n",
            "  --set TCP TCPFIN UDP\n",
            "  -R, --restore [--keep-going] [FILE]\n",
            "  -B, --get-blklst [SERVICE] [-n] [--json]\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
