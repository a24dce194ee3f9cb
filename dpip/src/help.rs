//! The text of `--help` and `OBJECT help`. The grammar of each object is DPVS's.

use crate::options;

const HEAD: &str = "\
Usage:
    dpip [OPTIONS] OBJECT { COMMAND | help }
Parameters:
    OBJECT  := { link | addr | route | neigh | eal-mem }
    COMMAND := { add | del | set | replace | show | flush }
Options:
";

/// The objects, the commands, and every option.
pub(crate) fn all() -> String {
    format!("{HEAD}{}", options::help())
}

const ADDR: &str = "\
Usage:
    dpip addr show [ dev STRING ]
    dpip addr { add | set | replace } IFADDR dev STRING [ LIFETIME ] [ SCOPE ] [ FLAGS ]
    dpip addr del IFADDR dev STRING
    dpip addr flush dev STRING
    dpip addr help
Parameters:
    IFADDR    := { PREFIX | ADDR } [ broadcast ADDR ]
    PREFIX    := { ADDR/PLEN }
    SCOPE     := [ scope { host | link | global } ]
    LIFETIME  := [ valid_lft LFT ] [ preferred_lft LFT ]
    LFT       := forever
    FLAGS     := sapool
";

const ROUTE: &str = "\
Usage:
    dpip route show [ dev IFNAME ]
    dpip -6 route show [ dev IFNAME ]
    dpip route help
    dpip route flush dev IFNAME
    dpip route { add | del | set | replace } ROUTE
Parameters:
    ROUTE      := PREFIX [ via ADDR ] [ dev IFNAME ] [ OPTIONS ]
    PREFIX     := { ADDR/PLEN | ADDR | default }
    OPTIONS    := [ SCOPE | mtu MTU | src ADDR | metric NUM ]
    SCOPE      := [ scope { host | link | global | kni_host } ]
Examples:
    dpip route show
    dpip route add default via 10.0.0.1
    dpip route add 172.0.0.0/16 via 172.0.0.3 dev dpdk0
    dpip route add 192.168.0.0/24 dev dpdk0
    dpip route del 172.0.0.0/16
    dpip route set 172.0.0.0/16 via 172.0.0.1
    dpip route flush dev dpdk0
";

const NEIGH: &str = "\
Usage:
    dpip neigh show [ dev DEVICE ]
    dpip neigh { add | replace | del } ADDR lladdr LLADDR dev DEVICE
    dpip neigh flush [ dev DEVICE ]
    dpip neigh help
";

const LINK: &str = "\
Usage:
    dpip link show [ NIC-NAME ]
    dpip -v link show [ NIC-NAME ]
    dpip -s link show [ -i INTERVAL ] [ -c COUNT ] [ NIC-NAME ]
    dpip link show CPU-NAME
    dpip -s link show [ -i INTERVAL ] [ -c COUNT ] CPU-NAME
    dpip link set DEV-NAME ITEM VALUE
    ---supported items---
    promisc [on|off], forward2kni [on|off], link [up|down], allmulticast [on|off], addr MAC
    up and down alone mean link up and link down
Examples:
    dpip link show
    dpip -s -v link show dpdk0
    dpip link show cpu
    dpip -s link show cpu1 -i 3 -c 5
    dpip link set dpdk0 promisc on
";

const EAL_MEM: &str = "\
Usage:
    dpip eal-mem show [ pool | worker ]
";

/// The grammar of an object.
pub(crate) fn of(object: &str) -> Option<&'static str> {
    match object {
        "addr" => Some(ADDR),
        "route" => Some(ROUTE),
        "neigh" => Some(NEIGH),
        "link" => Some(LINK),
        "eal-mem" => Some(EAL_MEM),
        _ => None,
    }
}
