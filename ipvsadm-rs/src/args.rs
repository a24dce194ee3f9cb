//! The command line of ipvsadm: one command, a service, and options; short options may be bundled.

use std::fmt;

use cli::CliError;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    AddService,
    EditService,
    DelService,
    Clear,
    Restore,
    Save,
    AddDest,
    EditDest,
    DelDest,
    List,
    Zero,
    AddLaddr,
    DelLaddr,
    GetLaddr,
    SetTimeouts,
    Help,
    Version,
    /// Of a later release, with the words it was asked for by
    Later(&'static str),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddService => "add-service",
            Self::EditService => "edit-service",
            Self::DelService => "delete-service",
            Self::Clear => "flush",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::AddDest => "add-server",
            Self::EditDest => "edit-server",
            Self::DelDest => "delete-server",
            Self::List => "list",
            Self::Zero => "zero",
            Self::AddLaddr => "add-laddr",
            Self::DelLaddr => "del-laddr",
            Self::GetLaddr => "get-laddr",
            Self::SetTimeouts => "set",
            Self::Help => "help",
            Self::Version => "version",
            Self::Later(name) => name,
        })
    }
}

/// An option with the value it takes, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its long name
    pub name: &'static str,
    /// Its value, empty for a switch
    pub value: String,
}

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What to do
    pub command: Command,
    /// Everything else, in order
    pub options: Vec<Given>,
    /// Words that belong to no option: `--set tcp tcpfin udp`
    pub words: Vec<String>,
}

impl Line {
    /// The value of an option, if it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|given| given.name == name)
            .map(|given| given.value.as_str())
    }

    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// How many values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// A number may follow
    Maybe,
}

const COMMANDS: &[(char, &str, Command)] = &[
    ('A', "add-service", Command::AddService),
    ('E', "edit-service", Command::EditService),
    ('D', "delete-service", Command::DelService),
    ('C', "clear", Command::Clear),
    ('R', "restore", Command::Restore),
    ('S', "save", Command::Save),
    ('a', "add-server", Command::AddDest),
    ('e', "edit-server", Command::EditDest),
    ('d', "delete-server", Command::DelDest),
    ('L', "list", Command::List),
    ('l', "list", Command::List),
    ('Z', "zero", Command::Zero),
    ('P', "add-laddr", Command::AddLaddr),
    ('Q', "del-laddr", Command::DelLaddr),
    ('G', "get-laddr", Command::GetLaddr),
    ('h', "help", Command::Help),
    ('v', "version", Command::Version),
    ('U', "add-blklst", Command::Later("--add-blklst")),
    ('V', "del-blklst", Command::Later("--del-blklst")),
    ('B', "get-blklst", Command::Later("--get-blklst")),
    ('O', "add-whtlst", Command::Later("--add-whtlst")),
    ('Y', "del-whtlst", Command::Later("--del-whtlst")),
    ('W', "get-whtlst", Command::Later("--get-whtlst")),
    ('\0', "set", Command::SetTimeouts),
    ('\0', "start-daemon", Command::Later("--start-daemon")),
    ('\0', "stop-daemon", Command::Later("--stop-daemon")),
];

const OPTIONS: &[(char, &str, Takes)] = &[
    ('t', "tcp-service", Takes::Value),
    ('u', "udp-service", Takes::Value),
    ('s', "scheduler", Takes::Value),
    ('r', "real-server", Takes::Value),
    ('w', "weight", Takes::Value),
    ('x', "u-threshold", Takes::Value),
    ('y', "l-threshold", Takes::Value),
    ('b', "fullnat", Takes::Nothing),
    ('g', "gatewaying", Takes::Nothing),
    ('i', "ipip", Takes::Nothing),
    ('m', "masquerading", Takes::Nothing),
    ('J', "snat", Takes::Nothing),
    ('z', "laddr", Takes::Value),
    ('F', "ifname", Takes::Value),
    ('n', "numeric", Takes::Nothing),
    ('c', "connection", Takes::Nothing),
    ('X', "exact", Takes::Nothing),
    ('\0', "stats", Takes::Nothing),
    ('\0', "rate", Takes::Nothing),
    ('\0', "thresholds", Takes::Nothing),
    ('\0', "persistent-conn", Takes::Nothing),
    ('\0', "timeout", Takes::Nothing),
    ('\0', "daemon", Takes::Nothing),
    ('\0', "sort", Takes::Nothing),
    ('\0', "nosort", Takes::Nothing),
    ('\0', "sockpair", Takes::Value),
    ('\0', "cpu", Takes::Value),
    ('\0', "conn-timeout", Takes::Value),
    ('\0', "json", Takes::Nothing),
    ('\0', "socket", Takes::Value),
    ('6', "ipv6", Takes::Nothing),
    ('f', "fwmark-service", Takes::Value),
    ('q', "icmp-service", Takes::Value),
    ('1', "icmpv6-service", Takes::Value),
    ('\0', "sctp-service", Takes::Value),
    ('H', "match", Takes::Value),
    ('p', "persistent", Takes::Maybe),
    ('M', "netmask", Takes::Value),
    ('o', "ops", Takes::Nothing),
    ('j', "synproxy", Takes::Value),
    ('k', "blklst", Takes::Value),
    ('2', "whtlst", Takes::Value),
    ('\0', "pe", Takes::Value),
    ('\0', "hash-target", Takes::Value),
    ('\0', "quic", Takes::Nothing),
    ('\0', "expire-quiescent", Takes::Nothing),
    ('\0', "proxy-protocol", Takes::Value),
    ('\0', "dest-check", Takes::Value),
    ('\0', "mcast-interface", Takes::Value),
    ('\0', "syncid", Takes::Value),
    ('\0', "tun-type", Takes::Value),
    ('\0', "tun-port", Takes::Value),
];

/// Options whose meaning comes with a later release.
const LATER: &[&str] = &[
    "ipv6",
    "fwmark-service",
    "icmp-service",
    "icmpv6-service",
    "sctp-service",
    "match",
    "persistent",
    "netmask",
    "ops",
    "synproxy",
    "blklst",
    "whtlst",
    "pe",
    "hash-target",
    "quic",
    "expire-quiescent",
    "proxy-protocol",
    "dest-check",
    "mcast-interface",
    "syncid",
    "tun-type",
    "tun-port",
    "daemon",
];

/// Takes a command line apart.
///
/// # Errors
/// With the option that is not understood, or not supported yet.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Line, CliError> {
    let mut args = args.peekable();
    let mut line = Line {
        command: Command::List,
        options: Vec::new(),
        words: Vec::new(),
    };
    let mut command = None;
    while let Some(arg) = args.next() {
        if let Some(long) = arg.strip_prefix("--") {
            let (name, inline) = long
                .split_once('=')
                .map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            if let Some((.., found)) = COMMANDS.iter().find(|(_, long, _)| *long == name) {
                set_once(&mut command, *found)?;
            } else {
                let (_, name, takes) = OPTIONS
                    .iter()
                    .find(|(_, long, _)| *long == name)
                    .ok_or_else(|| unknown(&arg))?;
                let value = match inline {
                    Some(value) => value,
                    None => take_value(*takes, &arg, &mut args)?,
                };
                line.options.push(Given { name, value });
            }
        } else if let Some(bundle) = arg.strip_prefix('-').filter(|bundle| !bundle.is_empty()) {
            parse_bundle(bundle, &mut args, &mut command, &mut line)?;
        } else {
            line.words.push(arg);
        }
    }
    line.command = command.unwrap_or(Command::List);
    refuse_later(&line)?;
    Ok(line)
}

fn parse_bundle(
    bundle: &str,
    args: &mut std::iter::Peekable<impl Iterator<Item = String>>,
    command: &mut Option<Command>,
    line: &mut Line,
) -> Result<(), CliError> {
    let mut rest = bundle;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if let Some((.., found)) = COMMANDS.iter().find(|(short, ..)| *short == letter) {
            set_once(command, *found)?;
            continue;
        }
        let shown = format!("-{letter}");
        let (_, name, takes) = OPTIONS
            .iter()
            .find(|(short, ..)| *short == letter)
            .ok_or_else(|| unknown(&shown))?;
        let value = if *takes != Takes::Nothing && !rest.is_empty() {
            std::mem::take(&mut rest).to_owned()
        } else {
            take_value(*takes, &shown, args)?
        };
        line.options.push(Given { name, value });
    }
    Ok(())
}

fn take_value(
    takes: Takes,
    option: &str,
    args: &mut std::iter::Peekable<impl Iterator<Item = String>>,
) -> Result<String, CliError> {
    match takes {
        Takes::Nothing => Ok(String::new()),
        Takes::Value => args
            .next()
            .ok_or_else(|| CliError::usage(format!("option '{option}' needs a value after it"))),
        Takes::Maybe => Ok(args
            .next_if(|next| next.parse::<u32>().is_ok())
            .unwrap_or_default()),
    }
}

fn set_once(command: &mut Option<Command>, found: Command) -> Result<(), CliError> {
    match command.replace(found) {
        None => Ok(()),
        Some(_) => Err(CliError::usage("multiple commands specified")),
    }
}

fn unknown(option: &str) -> CliError {
    CliError::usage(format!(
        "unknown option '{option}': `ipvsadm-rs --help` lists them"
    ))
}

fn refuse_later(line: &Line) -> Result<(), CliError> {
    if let Command::Later(name) = line.command {
        return Err(CliError::unsupported(name));
    }
    match line
        .options
        .iter()
        .find(|given| LATER.contains(&given.name))
    {
        Some(given) => Err(CliError::unsupported(&format!("--{}", given.name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Line, CliError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        let line = parsed("-A -t 10.0.0.100:80 -s rr").unwrap();
        assert_eq!(
            (line.command, line.get("tcp-service"), line.get("scheduler")),
            (Command::AddService, Some("10.0.0.100:80"), Some("rr"))
        );
        let line = parsed("-a -t 10.0.0.100:80 -r 192.168.100.2 -b").unwrap();
        assert!(line.command == Command::AddDest && line.has("fullnat"));
        let line = parsed("--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0").unwrap();
        assert_eq!(
            (line.command, line.get("laddr"), line.get("ifname")),
            (Command::AddLaddr, Some("192.168.100.200"), Some("dpdk0"))
        );
        for list in ["-ln", "-Ln", "-l -n", "", "--list --numeric"] {
            assert_eq!(parsed(list).unwrap().command, Command::List, "{list}");
        }
        assert!(parsed("-lnc").unwrap().has("connection"));
        assert_eq!(
            parsed("-A -t 192.168.0.89:80 -s -rr")
                .unwrap()
                .get("scheduler"),
            Some("-rr")
        );
    }

    #[test]
    fn what_comes_later_says_so_with_status_2() {
        for line in [
            "-A -f 1",
            "-A -t 1.1.1.1:80 -p 300",
            "-B",
            "-A -H proto=tcp",
            "-A -t 1.1.1.1:80 -j enable",
            "--start-daemon",
            "-l --daemon",
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.status, 2, "{line}");
            assert!(
                error.text.ends_with("is not supported yet"),
                "{}",
                error.text
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            parsed("-A -D").unwrap_err().text,
            "multiple commands specified"
        );
        assert!(parsed("-A --bogus").unwrap_err().text.contains("--bogus"));
        assert!(
            parsed("-A -t")
                .unwrap_err()
                .text
                .contains("'-t' needs a value")
        );
    }
}
