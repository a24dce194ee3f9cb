//! The table of all commands and options. Parsing, the rules of which option goes with which
//! command, and `--help` come from it. The names are those of LVS and DPVS.

use cli::{Opt, OptionTable, Takes};

use super::command::{Command, NamesService};

/// What an option means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// It is a command.
    Command(Command),
    /// It names a service. All commands take it that are about services.
    Service,
    /// These commands take it.
    TakenBy(&'static [Command]),
    /// These commands need it; the second list may do without it.
    NeededBy(&'static [Command], &'static [Command]),
    /// Every command takes it.
    Everywhere,
    /// LVS or DPVS has it, and this program does not. The text says why, and what to do.
    Absent(&'static str),
}

use Meaning::{Absent, Everywhere, NeededBy, Service, TakenBy};
use Takes::{Nothing, OptionalNumber, Value};

/// Commands that make or change a service.
const SERVICES: &[Command] = &[Command::AddService, Command::EditService];
/// Commands after which a dest may drain.
const DRAINS: &[Command] = &[Command::AddDest, Command::EditDest, Command::DelDest];
/// The command that changes a service.
const EDIT: &[Command] = &[Command::EditService];
/// Commands that make or change a dest.
const DESTS: &[Command] = &[Command::AddDest, Command::EditDest];
const LIST: &[Command] = &[Command::List];
/// Commands that print a table, also as JSON.
const TABLES: &[Command] = &[
    Command::List,
    Command::GetLaddr,
    Command::GetDenied,
    Command::GetAllowed,
];
const NUMERIC: &[Command] = &[
    Command::List,
    Command::GetLaddr,
    Command::GetDenied,
    Command::GetAllowed,
    Command::Save,
];

const NO_FWMARK: &str = "no firewall marks packets in front of a dataplane: say which packets are \
     meant, e.g. -H proto=tcp,dst-range=10.0.0.100-10.0.0.109:80-89";
const NO_FAMILY: &str = "it tells the family of a fwmark service: the family of all others is \
     that of their address, e.g. -t [2001:db8::1]:80";
const NO_PING: &str = "the director answers pings to its VIPs; those of hosts behind it go out \
     with -H proto=icmp";
const NO_PING6: &str = "the director answers pings to its VIPs; those of hosts behind it go out \
     with -H proto=icmpv6";
const NO_ENGINE: &str = "persistence goes by the client's address (-p) or the QUIC connection ID \
     (-s conhash --hash-target qid)";
const NO_QUIC: &str =
    "any UDP service may be QUIC: -s conhash --hash-target qid follows its connection IDs";
const NO_CHECK: &str = "the director checks no real servers: let a script that checks one take it \
     out with -e SERVICE -r RIP -w 0, and back with -w 1";
const NO_DETAIL: &str = "-lnc shows the lcore, timeout, state and all four ends of each connection, \
     and --json the same for programs";
const NO_SYNC: &str =
    "directors do not share conns: with -s mh or conhash another one chooses the same dests";

const fn command(
    letters: &'static str,
    long: &'static str,
    command: Command,
    help: &'static str,
) -> Opt<Meaning> {
    option(letters, long, Nothing, Meaning::Command(command), help)
}

const fn option(
    letters: &'static str,
    long: &'static str,
    takes: Takes,
    meaning: Meaning,
    help: &'static str,
) -> Opt<Meaning> {
    Opt {
        long,
        letters,
        takes,
        meaning,
        help,
    }
}

const fn absent(
    letters: &'static str,
    long: &'static str,
    takes: Takes,
    why: &'static str,
) -> Opt<Meaning> {
    option(letters, long, takes, Absent(why), "")
}

/// All commands and options.
#[rustfmt::skip]
pub(super) const TABLE: OptionTable<Meaning> = OptionTable {
    program: "ipvsadm-rs",
    options: &[
        command("A", "add-service", Command::AddService, "add a service"),
        command("E", "edit-service", Command::EditService,
            "change a service in what is given; the rest stays"),
        command("D", "delete-service", Command::DelService, "delete a service"),
        command("C", "clear", Command::Clear, "delete all services"),
        command("R", "restore", Command::Restore,
            "carry out all lines of a file, or of standard input, or none of them"),
        command("S", "save", Command::Save, "print the lines that -R restores"),
        command("a", "add-server", Command::AddDest, "add a real server to a service"),
        command("e", "edit-server", Command::EditDest,
            "change a real server in what is given; the rest stays"),
        command("d", "delete-server", Command::DelDest,
            "delete a real server; its connections go on until they end"),
        command("Ll", "list", Command::List,
            "list services or connections; this is the command if none is given"),
        command("Z", "zero", Command::Zero, "set the counters to zero"),
        command("P", "add-laddr", Command::AddLaddr, "add a local address (FullNAT)"),
        command("Q", "del-laddr", Command::DelLaddr,
            "delete a local address; it goes with its last connection"),
        command("G", "get-laddr", Command::GetLaddr, "list local addresses"),
        command("h", "help", Command::Help, "show this help"),
        command("v", "version", Command::Version, "show the versions of program and daemon"),
        command("U", "add-blklst", Command::AddDenied, "add to the deny list of a service"),
        command("V", "del-blklst", Command::DelDenied, "delete from the deny list"),
        command("B", "get-blklst", Command::GetDenied, "show the deny lists"),
        command("O", "add-whtlst", Command::AddAllowed, "add to the allow list of a service"),
        command("Y", "del-whtlst", Command::DelAllowed, "delete from the allow list"),
        command("W", "get-whtlst", Command::GetAllowed, "show the allow lists"),
        command("", "set", Command::SetTimeouts,
            "set timeouts in seconds; 0 leaves one as it is"),

        option("t", "tcp-service", Value("VIP:PORT"), Service, "a TCP service"),
        option("u", "udp-service", Value("VIP:PORT"), Service, "a UDP service"),
        option("", "sctp-service", Value("VIP:PORT"), Service, "an SCTP service"),
        option("H", "match", Value("MATCH"), Service,
            "a service named by the packets it takes (below)"),

        option("s", "scheduler", Value("SCHEDULER"), TakenBy(SERVICES),
            "rr wrr lc wlc (default) sed nq sh dh lblc lblcr fo ovf mh conhash"),
        option("", "sched-flags", Value("FLAG,..."), TakenBy(SERVICES),
            "of sh: sh-fallback sh-port; of mh: mh-fallback mh-port; or none; LVS's -b works too"),
        option("", "hash-target", Value("sip|qid"), TakenBy(SERVICES),
            "what conhash hashes: client address (default) or QUIC connection ID (UDP only)"),
        option("", "conn-timeout", Value("SECONDS"), TakenBy(SERVICES),
            "idle time after which a connection is forgotten; 0 for the protocol's"),
        option("p", "persistent", OptionalNumber("SECONDS"), TakenBy(SERVICES),
            "send a client to the same real server again (300); -E -p 0 ends it"),
        option("M", "netmask", Value("NETMASK|LENGTH"), TakenBy(SERVICES),
            "with -p: clients of one network count as one client"),
        option("o", "ops", Nothing, TakenBy(SERVICES), "schedule every UDP packet for itself"),
        option("", "no-ops", Nothing, TakenBy(EDIT), "end --ops"),
        option("", "expire-quiescent", Nothing, TakenBy(SERVICES),
            "forget connections to a real server of weight 0"),
        option("", "no-expire-quiescent", Nothing, TakenBy(EDIT), "end --expire-quiescent"),
        option("", "no-adopt", Nothing, TakenBy(SERVICES),
            "of mh and conhash with -g or -i: drop packets of connections that are not known"),
        option("", "adopt", Nothing, TakenBy(EDIT), "end --no-adopt"),
        option("", "conn-limit", Value("N"), TakenBy(SERVICES),
            "most connections; 0 for no limit"),
        option("", "conn-rate-limit", Value("N"), TakenBy(SERVICES),
            "most new connections per second; 0 for no limit"),
        option("j", "synproxy", Value("enable|disable|SYNS"), TakenBy(SERVICES),
            "SYN proxy: on, off, or on above so many SYNs per second"),
        option("", "proxy-protocol", Value("VERSION"), TakenBy(SERVICES),
            "disable v1 v2 v1-insecure v2-insecure"),
        option("", "proxy-protocol-udp", Value("each|first"), TakenBy(SERVICES),
            "with --proxy-protocol of UDP: which datagrams of a client carry the header (first)"),
        option("", "uoa", Value("ipo|opp|disable"), TakenBy(SERVICES),
            "tell real servers the client of UDP: ipo by an IP option, opp by the option protocol"),
        option("", "uoa-max-trail", Value("DATAGRAMS"), TakenBy(SERVICES),
            "with --uoa: how many datagrams carry it"),

        option("r", "real-server", Value("RIP[:PORT]"),
            NeededBy(&[Command::AddDest, Command::EditDest, Command::DelDest], &[]),
            "a real server; the port is the service's unless given"),
        option("g", "gatewaying", Nothing, TakenBy(DESTS), "forward by DR (default)"),
        option("b", "fullnat", Nothing, TakenBy(DESTS), "forward by FullNAT"),
        option("m", "masquerading", Nothing, TakenBy(DESTS), "forward by NAT"),
        option("i", "ipip", Nothing, TakenBy(DESTS), "forward by tunnel"),
        option("J", "snat", Nothing, TakenBy(DESTS), "forward by SNAT: -H MATCH -r WANIP:0 -J"),
        option("", "tun-type", Value("ipip|gre|gue"), TakenBy(DESTS),
            "with -i: what packets are wrapped in"),
        option("", "tun-spread", Value("PREFIX|off"), TakenBy(DESTS),
            "with -i: the outer source of each flow is an address of PREFIX, chosen by its hash"),
        option("", "tun-port", Value("PORT"), TakenBy(DESTS),
            "with --tun-type gue: the port that the real server listens on"),
        option("w", "weight", Value("WEIGHT"), TakenBy(DESTS),
            "0 to 65535 (1); 0 takes no new connections"),
        option("x", "u-threshold", Value("UPPER"), TakenBy(DESTS),
            "no new connections above so many"),
        option("y", "l-threshold", Value("LOWER"), TakenBy(DESTS),
            "new connections again below so many"),
        option("", "drain", Value("SECONDS"), TakenBy(DRAINS),
            "with -w 0 or -d: time that connections have to end"),

        option("z", "laddr", Value("LIP"),
            NeededBy(&[Command::AddLaddr, Command::DelLaddr], &[]), "a local address"),
        option("F", "ifname", Value("DEVICE"),
            NeededBy(&[Command::AddLaddr], &[Command::DelLaddr]), "the device it is on"),
        option("", "force", Nothing, TakenBy(&[Command::DelLaddr]),
            "end the connections of a local address that goes"),
        option("k", "blklst", Value("IP[/LENGTH]"),
            NeededBy(&[Command::AddDenied, Command::DelDenied], &[]), "clients that are denied"),
        option("2", "whtlst", Value("IP[/LENGTH]"),
            NeededBy(&[Command::AddAllowed, Command::DelAllowed], &[]), "clients that are allowed"),

        option("", "keep-going", Nothing, TakenBy(&[Command::Restore]),
            "carry out all lines that can be, and list the others"),
        option("n", "numeric", Nothing, TakenBy(NUMERIC),
            "show ports as numbers (-S always does)"),
        option("c", "connection", Nothing, TakenBy(LIST), "list connections"),
        option("", "stats", Nothing, TakenBy(LIST), "show counters"),
        option("", "rate", Nothing, TakenBy(LIST), "show counters per second"),
        option("X", "exact", Nothing, TakenBy(LIST), "show large numbers in full"),
        option("", "thresholds", Nothing, TakenBy(LIST), "show thresholds"),
        option("", "persistent-conn", Nothing, TakenBy(LIST), "show persistent connections"),
        option("", "timeout", Nothing, TakenBy(LIST), "show the timeouts"),
        option("", "sockpair", Value("PROTO:CIP:CPORT:VIP:VPORT"), TakenBy(LIST),
            "find one connection"),
        option("", "cpu", Value("LCORE"), TakenBy(LIST), "connections of one lcore, with -c"),
        option("", "sort", Nothing, TakenBy(LIST), "sort by address and port (default)"),
        option("", "nosort", Nothing, TakenBy(LIST), "list in the order of creation"),
        option("", "json", Nothing, TakenBy(TABLES), "print JSON"),
        option("", "socket", Value("PATH"), Everywhere, "the daemon's socket (else DPVS_SOCKET)"),

        absent("f", "fwmark-service", Value("MARK"), NO_FWMARK),
        absent("6", "ipv6", Nothing, NO_FAMILY),
        absent("q", "icmp-service", Value("VIP"), NO_PING),
        absent("1", "icmpv6-service", Value("VIP"), NO_PING6),
        absent("", "pe", Value("NAME"), NO_ENGINE),
        absent("", "quic", Nothing, NO_QUIC),
        absent("", "dest-check", Value("CHECK"), NO_CHECK),
        absent("", "detail-conn", Nothing, NO_DETAIL),
        absent("", "start-daemon", Nothing, NO_SYNC),
        absent("", "stop-daemon", Nothing, NO_SYNC),
        absent("", "daemon", Nothing, NO_SYNC),
        absent("", "mcast-interface", Value("DEVICE"), NO_SYNC),
        absent("", "syncid", Value("ID"), NO_SYNC),
    ],
    may_abbreviate: false,
};

impl Meaning {
    /// Whether a command takes the option, and whether it needs it.
    pub(super) fn of(&self, command: Command) -> Option<Need> {
        match self {
            TakenBy(commands) if commands.contains(&command) => Some(Need::May),
            NeededBy(commands, _) if commands.contains(&command) => Some(Need::Must),
            NeededBy(_, commands) if commands.contains(&command) => Some(Need::May),
            Service if command.names_service() != NamesService::Never => Some(Need::May),
            Everywhere => Some(Need::May),
            _ => None,
        }
    }
}

/// Whether an option must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::SERVICE_OPTIONS;

    #[test]
    fn every_name_and_letter_is_there_once() {
        let options = TABLE.options.iter();
        let letters = options.clone().flat_map(|option| option.letters.chars());
        let mut names: Vec<_> = options.map(|option| option.long.to_owned()).collect();
        names.extend(letters.map(String::from));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_options_that_name_a_service_are_marked() {
        let services = TABLE.options.iter();
        let services = services.filter(|option| matches!(option.meaning, Service));
        let names: Vec<_> = services.map(|option| option.long).collect();
        assert_eq!(names, SERVICE_OPTIONS);
    }
}
