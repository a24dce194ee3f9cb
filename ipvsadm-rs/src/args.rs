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
    AddDenied,
    DelDenied,
    GetDenied,
    AddAllowed,
    DelAllowed,
    GetAllowed,
    SetTimeouts,
    Help,
    Version,
    /// One that does not exist here
    Absent(&'static str),
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
            Self::AddDenied => "add-blklst",
            Self::DelDenied => "del-blklst",
            Self::GetDenied => "get-blklst",
            Self::AddAllowed => "add-whtlst",
            Self::DelAllowed => "del-whtlst",
            Self::GetAllowed => "get-whtlst",
            Self::SetTimeouts => "set",
            Self::Help => "help",
            Self::Version => "version",
            Self::Absent(name) => name,
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
    ('U', "add-blklst", Command::AddDenied),
    ('V', "del-blklst", Command::DelDenied),
    ('B', "get-blklst", Command::GetDenied),
    ('O', "add-whtlst", Command::AddAllowed),
    ('Y', "del-whtlst", Command::DelAllowed),
    ('W', "get-whtlst", Command::GetAllowed),
    ('\0', "set", Command::SetTimeouts),
    ('\0', "start-daemon", Command::Absent("start-daemon")),
    ('\0', "stop-daemon", Command::Absent("stop-daemon")),
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
    ('\0', "conn-limit", Takes::Value),
    ('\0', "uoa", Takes::Value),
    ('\0', "uoa-max-trail", Takes::Value),
    ('\0', "conn-rate-limit", Takes::Value),
    ('\0', "drain", Takes::Value),
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
    ('\0', "sched-flags", Takes::Value),
    ('\0', "quic", Takes::Nothing),
    ('\0', "expire-quiescent", Takes::Nothing),
    ('\0', "proxy-protocol", Takes::Value),
    ('\0', "dest-check", Takes::Value),
    ('\0', "mcast-interface", Takes::Value),
    ('\0', "syncid", Takes::Value),
    ('\0', "tun-type", Takes::Value),
    ('\0', "tun-port", Takes::Value),
];

/// Commands and options of LVS and DPVS that do not exist here, and why.
const ABSENT: &[(&str, &str)] = &[
    (
        "fwmark-service",
        "no firewall marks packets in front of a dataplane: say which packets are meant, as in -H proto=tcp,dst-range=10.0.0.100-10.0.0.109:80-89",
    ),
    (
        "ipv6",
        "it tells the family of a fwmark service: all others are told by their addresses, as in -t [2001:db8::1]:80",
    ),
    (
        "icmp-service",
        "the director answers pings to its VIPs; those of hosts behind it go out with -H proto=icmp",
    ),
    (
        "icmpv6-service",
        "the director answers pings to its VIPs; those of hosts behind it go out with -H proto=icmpv6",
    ),
    (
        "pe",
        "persistence goes by the client's address (-p) or the QUIC connection ID (-s conhash --hash-target qid)",
    ),
    (
        "quic",
        "any UDP service may be QUIC: -s conhash --hash-target qid follows its connection IDs",
    ),
    (
        "dest-check",
        "real servers are checked from outside, by keepalived's TCP_CHECK, HTTP_GET and others",
    ),
    ("start-daemon", NO_SYNC),
    ("stop-daemon", NO_SYNC),
    ("daemon", NO_SYNC),
    ("mcast-interface", NO_SYNC),
    ("syncid", NO_SYNC),
];
const NO_SYNC: &str =
    "directors do not share conns: with -s mh or conhash another one chooses the same dests";

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
            parse_long(long, &mut args, &mut command, &mut line)?;
        } else if let Some(bundle) = arg.strip_prefix('-').filter(|bundle| !bundle.is_empty()) {
            parse_bundle(bundle, &mut args, &mut command, &mut line)?;
        } else {
            line.words.push(arg);
        }
    }
    line.command = command.unwrap_or(Command::List);
    read_as_sched_flags(&mut line);
    refuse_absent(&line)?;
    Ok(line)
}

/// LVS's `-b FLAGS` of a service: DPVS gave the letter to `--fullnat`, which is a matter of dests alone.
fn read_as_sched_flags(line: &mut Line) {
    let is_service = matches!(line.command, Command::AddService | Command::EditService);
    let is_it = |given: &&mut Given| given.name == "fullnat";
    let fullnat = line.options.iter_mut().find(is_it);
    if let (true, Some(given), [_]) = (is_service, fullnat, &line.words[..]) {
        given.name = "sched-flags";
        given.value = line.words.remove(0);
    }
}

/// `--numeric`, `--weight 5`, `--weight=5`.
fn parse_long(
    long: &str,
    args: &mut std::iter::Peekable<impl Iterator<Item = String>>,
    command: &mut Option<Command>,
    line: &mut Line,
) -> Result<(), CliError> {
    let (name, inline) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let shown = format!("--{name}");
    let no_value = |inline: Option<String>| match inline {
        Some(value) => Err(CliError::usage(format!(
            "option '{shown}' takes no value, yet '{value}' is given"
        ))),
        None => Ok(()),
    };
    if let Some((.., found)) = COMMANDS.iter().find(|(_, known, _)| *known == name) {
        no_value(inline)?;
        return set_once(command, *found);
    }
    let (_, name, takes) = OPTIONS
        .iter()
        .find(|(_, known, _)| *known == name)
        .ok_or_else(|| unknown(&shown))?;
    let value = match (takes, inline) {
        (Takes::Nothing, inline) => no_value(inline).map(|()| String::new())?,
        (_, Some(value)) => value,
        (_, None) => take_value(*takes, &shown, args)?,
    };
    line.options.push(Given { name, value });
    Ok(())
}

/// `-n`, `-lnc`, `-w 5`, `-w5`.
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
    let commands = COMMANDS.iter().map(|(_, name, _)| *name);
    let options = OPTIONS.iter().map(|(_, name, _)| *name);
    let names: Vec<_> = commands.chain(options).collect();
    let long = option.strip_prefix("--").unwrap_or_default();
    let hint = cli::nearest(long, &names)
        .map(|near| format!("did you mean '--{near}'?"))
        .unwrap_or_else(|| "`ipvsadm-rs --help` lists them".to_owned());
    CliError::usage(format!("unknown option '{option}': {hint}"))
}

fn refuse_absent(line: &Line) -> Result<(), CliError> {
    let command = match line.command {
        Command::Absent(name) => Some(name),
        _ => None,
    };
    let options = line.options.iter().map(|given| given.name);
    for name in command.into_iter().chain(options) {
        if let Some((_, why)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
            return Err(CliError::usage(format!("there is no --{name}: {why}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Line, CliError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    /// Command and options as someone may write them back.
    fn written(line: &Line) -> String {
        let options = line.options.iter().map(|given| match given.value.as_str() {
            "" => format!(" {}", given.name),
            value => format!(" {}={value}", given.name),
        });
        format!("{}{}", line.command, options.collect::<String>())
    }

    #[test]
    fn the_tutorial_s_lines_are_understood() {
        for (line, meant) in [
            (
                "-A -t 10.0.0.100:80 -s rr",
                "add-service tcp-service=10.0.0.100:80 scheduler=rr",
            ),
            (
                "-a -t 10.0.0.100:80 -r 192.168.100.2 -b",
                "add-server tcp-service=10.0.0.100:80 real-server=192.168.100.2 fullnat",
            ),
            (
                "--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0",
                "add-laddr laddr=192.168.100.200 tcp-service=10.0.0.100:80 ifname=dpdk0",
            ),
            (
                "-a -t 192.168.100.254:80 -r 192.168.100.2 -g",
                "add-server tcp-service=192.168.100.254:80 real-server=192.168.100.2 gatewaying",
            ),
            (
                "-a -t 10.140.31.48:80 -r 10.140.18.33 -i",
                "add-server tcp-service=10.140.31.48:80 real-server=10.140.18.33 ipip",
            ),
            (
                "-A -t 192.168.0.89:80 -s -rr",
                "add-service tcp-service=192.168.0.89:80 scheduler=-rr",
            ),
            (
                "-A -t 192.168.0.89:80 -r 10.140.18.33 -m",
                "add-service tcp-service=192.168.0.89:80 real-server=10.140.18.33 masquerading",
            ),
            ("-ln", "list numeric"),
            ("-Ln", "list numeric"),
            ("", "list"),
            ("--list --numeric", "list numeric"),
            ("-lnc", "list numeric connection"),
            ("-ln --stats --exact", "list numeric stats exact"),
            ("-G", "get-laddr"),
            // LVS has -b for what only --sched-flags means in DPVS
            (
                "-b sh-port -E -t 1.1.1.1:80 -s sh",
                "edit-service sched-flags=sh-port tcp-service=1.1.1.1:80 scheduler=sh",
            ),
            (
                "-e -w5 --u-threshold=9",
                "edit-server weight=5 u-threshold=9",
            ),
        ] {
            assert_eq!(written(&parsed(line).unwrap()), meant, "{line}");
        }
    }

    #[test]
    fn timeouts_follow_their_command() {
        let line = parsed("--set 90 3 300").unwrap();
        assert_eq!(line.command, Command::SetTimeouts);
        assert_eq!(line.words, ["90", "3", "300"]);
    }

    #[test]
    fn what_does_not_exist_says_why_in_one_sentence() {
        for (line, why) in [
            ("-A -f 1 -6", "say which packets are meant"),
            ("-A -q 1.1.1.1:80", "answers pings"),
            ("-A -1 ::1", "-H proto=icmpv6"),
            ("-A -t 1.1.1.1:80 --pe sip", "the client's address (-p)"),
            ("-A -u 1.1.1.1:443 --quic", "--hash-target qid"),
            ("-A -t 1.1.1.1:80 --dest-check tcp", "keepalived"),
            ("--stop-daemon", "do not share conns"),
            (
                "--start-daemon master --mcast-interface eth0",
                "do not share conns",
            ),
            ("-l --daemon", "do not share conns"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.status, 2, "{line}");
            assert!(
                error.text.starts_with("there is no --") && error.text.contains(why),
                "{line}: {}",
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
        let near = parsed("-A --tcp-servce 1.1.1.1:80").unwrap_err().text;
        assert!(near.contains("did you mean '--tcp-service'?"), "{near}");
        let value = parsed("-l --numeric=yes").unwrap_err().text;
        assert!(value.contains("takes no value"), "{value}");
        let letter = parsed("-lnK").unwrap_err();
        assert!(letter.status == 2 && letter.text.contains("'-K'"));
        assert!(
            parsed("-A -t")
                .unwrap_err()
                .text
                .contains("'-t' needs a value")
        );
    }
}
