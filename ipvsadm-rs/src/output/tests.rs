//! Golden tests of the tables.

use cli::ip_message;
use proto::v1::{
    Conn, Counters, Dest, FwdMode, Laddr, Protocol, Rates, ServiceKey, VirtualService,
};

use super::numbers::large;
use super::*;
use crate::names::PortNames;

/// The two-arm FullNAT service of the tutorial.
pub(crate) fn tutorial() -> VirtualService {
    let dest = |last| Dest {
        address: Some(ip_message([192, 168, 100, last].into())),
        port: 80,
        fwd_mode: FwdMode::FullNat.into(),
        weight: Some(1),
        ..Dest::default()
    };
    VirtualService {
        key: Some(ServiceKey {
            protocol: Protocol::Tcp.into(),
            address: Some(ip_message([10, 0, 0, 100].into())),
            port: 80,
            r#match: None,
        }),
        scheduler: "rr".into(),
        dests: vec![dest(2), dest(3)],
        laddrs: vec![Laddr {
            address: Some(ip_message([192, 168, 100, 200].into())),
            device: "dpdk0".into(),
            ..Laddr::default()
        }],
        ..VirtualService::default()
    }
}

/// A list of one service, as `-ln` prints it below the banner.
fn shown(listed: &VirtualService, columns: Columns) -> String {
    let names = PortNames::default();
    title(columns) + &service(listed, columns, Numbers::Short, &names)
}

/// Byte for byte as in the tutorial.
#[test]
fn services_are_shown_as_in_the_tutorial() {
    assert_eq!(
        shown(&tutorial(), Columns::Plain),
        "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 rr
  -> 192.168.100.2:80             FullNat 1      0          0
  -> 192.168.100.3:80             FullNat 1      0          0
"
    );
}

/// A removed dest with conns stands below the others. `-S` does not know it.
#[test]
fn a_removed_dest_is_shown_as_long_as_it_drains() {
    let mut listed = tutorial();
    let mut dest = listed.dests.remove(0);
    dest.active_conns = 3;
    listed.draining = vec![dest.clone()];
    let row = |listed: &VirtualService| {
        let text = shown(listed, Columns::Plain);
        text.lines().last().unwrap_or_default().to_owned()
    };
    let columns = "  -> 192.168.100.2:80             FullNat 0      3          0";
    assert_eq!(row(&listed), format!("{columns}          removed, drains"));
    listed.draining[0].drain_s = 30;
    assert_eq!(
        row(&listed),
        format!("{columns}          removed, drains within 30s")
    );
    assert!(!save::save(&listed, &[]).contains("192.168.100.2:80"));
    assert!(!shown(&listed, Columns::Stats).contains("192.168.100.2:80"));
}

/// A removed service whose conns go on: its head says so, and it has rows for them alone.
#[test]
fn a_removed_service_is_shown_as_long_as_it_drains() {
    let mut listed = VirtualService {
        key: tutorial().key,
        removed: true,
        ..VirtualService::default()
    };
    let mut dest = tutorial().dests.remove(0);
    dest.active_conns = 3;
    listed.draining = vec![dest];
    let mut laddr = tutorial().laddrs.remove(0);
    laddr.conns = 3;
    listed.leaving_laddrs = vec![laddr];
    assert_eq!(
        shown(&listed, Columns::Plain),
        "Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 removed
  -> 192.168.100.2:80             FullNat 0      3          0          removed, drains
"
    );
    assert_eq!(
        laddrs(&[listed]),
        "VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS
10.0.0.100:80        0
                              192.168.100.200      0          3          deleted, goes with its last conn
"
    );
}

/// LVS prints flags as in `TCP  172.24.3.177:80 mh (flag-1,flag-2)`. DPVS prints the hash target
/// before all other options.
#[test]
fn a_scheduler_is_shown_with_its_flags_and_target() {
    let row = |name: &str, flags: &[&str], target: &str| {
        let mut listed = tutorial();
        listed.scheduler = name.into();
        listed.scheduler_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        listed.hash_target = target.into();
        listed.conn_timeout_s = 60;
        let text = service(
            &listed,
            Columns::Plain,
            Numbers::Short,
            &PortNames::default(),
        );
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        row("mh", &["mh-fallback", "mh-port"], ""),
        "TCP  10.0.0.100:80 mh (mh-fallback,mh-port) conn-timeout 60"
    );
    assert_eq!(
        row("conhash", &[], "qid"),
        "TCP  10.0.0.100:80 conhash qid conn-timeout 60"
    );
    assert_eq!(
        row("lblcr", &[], ""),
        "TCP  10.0.0.100:80 lblcr conn-timeout 60"
    );
}

/// Byte for byte as in the tutorial.
#[test]
fn local_addresses_are_shown_as_in_the_tutorial() {
    assert_eq!(
        laddrs(&[tutorial()]),
        "VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS
10.0.0.100:80        1
                              192.168.100.200      0          0
"
    );
}

/// The columns are those of ipvsadm.
#[test]
fn counters_rates_and_limits_have_their_columns() {
    let mut service = tutorial();
    let counters = Counters {
        conns: 7,
        in_packets: 123_456_789,
        out_packets: 1,
        in_bytes: 99_999_999_999,
        out_bytes: 0,
    };
    service.counters = Some(counters);
    service.dests[0].counters = Some(counters);
    assert_eq!(
        shown(&service, Columns::Stats),
        "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.100:80                       7  123456K        1   99999M        0
  -> 192.168.100.2:80                    7  123456K        1   99999M        0
  -> 192.168.100.3:80                    0        0        0        0        0
"
    );
    service.dests[1].rates = Some(Rates {
        conns: 1,
        in_packets: 2,
        out_packets: 3,
        in_bytes: 4,
        out_bytes: 5,
    });
    assert_eq!(
        shown(&service, Columns::Rate),
        "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.0.0.100:80                       0        0        0        0        0
  -> 192.168.100.2:80                    0        0        0        0        0
  -> 192.168.100.3:80                    1        2        3        4        5
"
    );
    service.dests[0].upper_threshold = 100;
    service.dests[0].lower_threshold = 50;
    service.dests[0].active_conns = 3;
    assert_eq!(
        shown(&service, Columns::Thresholds),
        "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
  -> RemoteAddress:Port
TCP  10.0.0.100:80
  -> 192.168.100.2:80             100        50         3          0
  -> 192.168.100.3:80             0          0          0          0
"
    );
    assert_eq!(
        shown(&service, Columns::Persistent),
        "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn
  -> RemoteAddress:Port
TCP  10.0.0.100:80
  -> 192.168.100.2:80             1         0           3          0
  -> 192.168.100.3:80             1         0           0          0
"
    );
}

#[test]
fn flags_tell_what_is_special() {
    let mut service = tutorial();
    service.conn_timeout_s = 120;
    service.dests[0].weight = Some(0);
    service.dests[0].overloaded = true;
    service.dests[1].overloaded = true;
    let shown = shown(&service, Columns::Plain);
    for line in [
        "TCP  10.0.0.100:80 rr conn-timeout 120\n",
        "FullNat 0      0          0          overload\n",
        "FullNat 1      0          0          overload\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn large_numbers_are_shortened_unless_exact() {
    for (value, shown) in [
        (99_999_999, "99999999"),
        (100_000_000, " 100000K"),
        (1_000_000_000, "   1000M"),
        (100_000_000_000, "    100G"),
        (100_000_000_000_000, "    100T"),
    ] {
        assert_eq!(large(value, Numbers::Short), shown);
    }
    assert_eq!(large(100_000_000, Numbers::Exact), "100000000");
}

/// DPVS's example of `ipvsadm -lnc`.
#[test]
fn conns_are_shown_as_dpvs_shows_them() {
    let end = |a, b, c, d| Some(ip_message([a, b, c, d].into()));
    let example = Conn {
        lcore: 6,
        protocol: Protocol::Tcp.into(),
        expires_in_s: 3,
        state: "SYN_SENT".into(),
        caddr: end(192, 20, 0, 11),
        cport: 63838,
        vaddr: end(192, 22, 2, 3),
        vport: 80,
        laddr: end(192, 21, 4, 5),
        lport: 1028,
        daddr: end(192, 21, 6, 11),
        dport: 80,
    };
    let shown = conn(&example, &PortNames::default());
    assert_eq!(
        shown,
        "[6]tcp 3s     SYN_SENT    192.20.0.11:63838  192.22.2.3:80      192.21.4.5:1028    \
        192.21.6.11:80\n"
    );
}

/// A deleted local address stands below the others as long as it has conns.
#[test]
fn a_local_address_that_goes_is_shown_with_its_conns() {
    let mut listed = tutorial();
    listed.leaving_laddrs = std::mem::take(&mut listed.laddrs);
    listed.leaving_laddrs[0].conns = 3;
    let text = laddrs(&[listed]);
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("192.168.100.200"), "{text}");
    assert!(
        last.ends_with("3          deleted, goes with its last conn"),
        "{text}"
    );
}
