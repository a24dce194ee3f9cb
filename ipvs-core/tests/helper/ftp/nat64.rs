//! FTP between both families: by RFC 6384 from IPv6 to IPv4, and in the same way from IPv4 to IPv6.

use inet::{IfIndex, Prefix, Route, RouteScope};
use ipvs_core::FwdMode;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use super::{control, director, ports_of_in_use, says, text};

/// Ends of an FTP conn between both families.
struct Ends {
    client: &'static str,
    vip: &'static str,
    dest: &'static str,
    laddr: &'static str,
}

const NAT64: Ends = Ends {
    client: "2001:db8:1::48",
    vip: "2001:db8:1::100",
    dest: "192.168.100.2",
    laddr: LADDR,
};

const NAT46: Ends = Ends {
    client: "10.0.0.48",
    vip: "10.0.0.100",
    dest: "2001:db8:100::2",
    laddr: LADDR6,
};

/// A client with an IPv4 address behind the prefix of RFC 6052.
const KNOWN_NAT64: Ends = Ends {
    client: "64:ff9b::c000:221",
    ..NAT64
};

impl Ends {
    fn setup(&self, fwdmode: FwdMode) -> Setup {
        Setup {
            fwdmode,
            vip: end(self.vip, 21).leak(),
            dests: vec![end(self.dest, 21).leak()],
            laddrs: vec![self.laddr],
            ..Setup::default()
        }
    }

    fn director(&self, fwdmode: FwdMode) -> Director {
        reaching_client(self.setup(fwdmode).build())
    }
}

/// Adds a route to clients whose addresses have the prefix.
fn reaching_client(mut director: Director) -> Director {
    let (addr, device) = (KNOWN_NAT64.client.parse().unwrap(), IfIndex(2));
    let route = Route {
        prefix: Prefix::new(addr, 128).unwrap(),
        ifindex: device,
        gateway: None,
        src: None,
        mtu: 1500,
        metric: 0,
        scope: RouteScope::Link,
        auto: false,
    };
    director.snapshot.net.routes.insert(route).unwrap();
    director.neighbours.add_static(device, addr, CLIENT_MAC);
    director.publish();
    director
}

fn end(addr: &str, port: u16) -> String {
    std::net::SocketAddr::new(addr.parse().unwrap(), port).to_string()
}

/// The address and port that the line tells the dest: `PORT` for IPv4 (RFC 959, 4.1.2), `EPRT` for
/// IPv6 (RFC 2428, 2).
fn called(line: &str, addr: &str) -> (String, u16) {
    let (numbers, extended) = (addr.replace('.', ","), format!("EPRT |2|{addr}|"));
    let port = if addr.contains(':') {
        let rest = line.strip_prefix(&extended);
        rest.and_then(|rest| rest.strip_suffix("|\r\n")?.parse().ok())
    } else {
        let rest = line.strip_prefix(&format!("PORT {numbers},"));
        rest.and_then(|rest| {
            let (high, low) = rest.strip_suffix("\r\n")?.split_once(',')?;
            Some(high.parse::<u16>().ok()? << 8 | low.parse::<u16>().ok()?)
        })
    };
    let port = port.unwrap_or_else(|| panic!("{line}"));
    (end(addr, port), port)
}

/// A control conn between both families, with the numbers of both ends.
struct Talk {
    director: Director,
    ends: Ends,
    seen_as: String,
    /// The client's next sequence number and acknowledgment
    client: (u32, u32),
    /// The dest's next sequence number and acknowledgment
    dest: (u32, u32),
}

impl Talk {
    fn new(ends: Ends, fwdmode: FwdMode) -> Self {
        let mut director = ends.director(fwdmode);
        let [client, vip, dest] = [(ends.client, 40_000), (ends.vip, 21), (ends.dest, 21)]
            .map(|(addr, at)| end(addr, at));
        let opened = director.open_between(&client, &vip, &dest);
        Self {
            director,
            ends,
            seen_as: opened.laddr,
            client: (1001, 5001),
            dest: (5001, opened.isn_at_dest + 1),
        }
    }

    /// The client sends a line, and sends it again as if it had been lost. Returns the line that
    /// the dest gets. Each end counts the bytes that it has sent and received itself (RFC 9293,
    /// 3.4).
    fn asks(&mut self, line: &str) -> String {
        let (from, to) = (end(self.ends.client, 40_000), end(self.ends.vip, 21));
        let (seq, ack) = self.client;
        let segment = frames::tcp(&from, &to).flags("PA").seq(seq).ack(ack);
        let frame = segment.payload(line.as_bytes()).frame(FROM_CLIENT);
        let heard = self.director.to_dest(&frame);
        assert_eq!(self.director.to_dest(&frame), heard);
        assert!(heard.checksums_right);
        assert_eq!((heard.seq, heard.ack), (self.dest.1, self.dest.0));
        self.client.0 += line.len() as u32;
        self.dest.1 += heard.payload.len() as u32;
        text(&heard).to_owned()
    }

    /// The dest answers. Returns the line that the client gets.
    fn answers(&mut self, line: &str) -> String {
        let (seq, ack) = self.dest;
        let segment = frames::tcp(&end(self.ends.dest, 21), &self.seen_as);
        let segment = segment.flags("PA").seq(seq).ack(ack);
        let frame = segment.payload(line.as_bytes()).frame(FROM_DEST);
        let heard = self.director.to_client(&frame);
        assert_eq!(self.director.to_client(&frame), heard);
        assert!(heard.checksums_right);
        assert_eq!((heard.seq, heard.ack), (self.client.1, self.client.0));
        self.dest.0 += line.len() as u32;
        self.client.1 += heard.payload.len() as u32;
        text(&heard).to_owned()
    }

    /// The client connects to the VIP, and must reach the dest at this address and port.
    fn data_conn_leads_to(&mut self, vip_port: u16, dest: &str) {
        let (data, vip) = (end(self.ends.client, 40_001), end(self.ends.vip, vip_port));
        let call = frames::tcp(&data, &vip).flags("S").seq(9);
        let at_dest = self.director.to_dest(&call.frame(FROM_CLIENT));
        assert_eq!(
            (at_dest.dst.as_str(), at_dest.checksums_right),
            (dest, true)
        );
        let syn_ack = frames::tcp(dest, &at_dest.src).flags("SA").seq(7);
        let syn_ack = syn_ack.ack(at_dest.seq + 1).frame(FROM_DEST);
        let seen = self.director.to_client(&syn_ack);
        assert_eq!((seen.src, seen.dst, seen.ack), (vip, data, 10));
    }
}

/// RFC 6384: EPSV becomes PASV towards IPv4, and the answer 227 becomes 229; the address in it does
/// not matter.
#[rstest]
fn epsv_becomes_pasv_towards_ipv4(
    #[values("EPSV\r\n", "EPSV 2\r\n", "epsv\r\n")] line: &str,
    #[values("192,168,100,2", "203,0,113,9")] named: &str,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut talk = Talk::new(NAT64, fwdmode);
    for _ in 0..2 {
        assert_eq!(talk.asks(line), "PASV\r\n");
        let answer = format!("227 Entering Passive Mode ({named},25,46).\r\n");
        assert_eq!(
            talk.answers(&answer),
            "229 Entering Extended Passive Mode (|||6446|)\r\n"
        );
        assert_eq!(talk.asks("RETR file\r\n"), "RETR file\r\n");
        assert_eq!(talk.answers("150 here\r\n"), "150 here\r\n");
        assert_eq!(talk.answers("226 done\r\n"), "226 done\r\n");
    }
    talk.data_conn_leads_to(6446, "192.168.100.2:6446");
}

/// RFC 6384. A command that needs no translation is left as it is, and so is its answer.
#[test]
fn pasv_of_an_ipv6_client_goes_as_it_is() {
    let mut talk = Talk::new(NAT64, FwdMode::FullNat);
    let answer = "227 Entering Passive Mode (192,168,100,2,25,46).\r\n";
    for (line, heard, expected) in [
        ("PASV\r\n", "PASV\r\n", answer),
        (
            "EPSV\r\n",
            "PASV\r\n",
            "229 Entering Extended Passive Mode (|||6446|)\r\n",
        ),
        ("PASV\r\n", "PASV\r\n", answer),
    ] {
        assert_eq!(talk.asks(line), heard);
        assert_eq!(talk.answers(answer), expected);
    }
    // Errors need no translation.
    assert_eq!(talk.asks("EPSV\r\n"), "PASV\r\n");
    let error = "421 too many\r\n";
    assert_eq!(talk.answers(error), error);
}

/// RFC 6384. The dest must not get EPSV ALL, nor a network protocol that it does not have. The
/// client gets an error.
#[rstest]
#[case::all(NAT64, "EPSV ALL\r\n", "504 ")]
#[case::all_in_small(NAT64, "epsv all\r\n", "504 ")]
#[case::ipv4_for_ipv6(NAT64, "EPSV 1\r\n", "522 ")]
#[case::unknown(NAT64, "EPSV 7\r\n", "522 ")]
#[case::ipv6_for_ipv4(NAT46, "EPSV 2\r\n", "522 ")]
fn what_the_dest_must_not_hear_is_refused(
    #[case] ends: Ends,
    #[case] line: &str,
    #[case] code: &str,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut talk = Talk::new(ends, fwdmode);
    let done = "200 NOOP ok.\r\n";
    for _ in 0..2 {
        // RFC 959, 4.1.3: NOOP does nothing but cause an answer.
        assert_eq!(talk.asks(line), "NOOP\r\n");
        let refused = talk.answers(done);
        assert!(refused.starts_with(code) && refused.ends_with("\r\n"));
        // The dest itself answers the next command.
        assert_eq!(talk.asks("TYPE I\r\n"), "TYPE I\r\n");
        assert_eq!(talk.answers(done), done);
    }
    assert_eq!(talk.asks(line), "NOOP\r\n");
    let error = "530 Please login.\r\n";
    assert_eq!(talk.answers(error), error);
}

/// RFC 2428, 1. The answer to PASV has no room for an IPv6 address. The IPv4 client is told the
/// VIP.
#[rstest]
fn pasv_becomes_epsv_towards_ipv6(
    #[values("PASV\r\n", "pasv\r\n")] line: &str,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut talk = Talk::new(NAT46, fwdmode);
    let answer = "229 Entering Extended Passive Mode (|||6446|)\r\n";
    for _ in 0..2 {
        assert_eq!(talk.asks(line), "EPSV\r\n");
        assert_eq!(
            talk.answers(answer),
            "227 Entering Passive Mode (10,0,0,100,25,46).\r\n"
        );
        assert_eq!(talk.asks("NOOP\r\n"), "NOOP\r\n");
        assert_eq!(talk.answers("200 ok\r\n"), "200 ok\r\n");
    }
    talk.data_conn_leads_to(6446, "[2001:db8:100::2]:6446");
}

/// RFC 2428, 3 and 4. EPSV of an IPv4 client needs no other command, but the network protocol in it
/// is not the dest's.
#[rstest]
#[case("EPSV\r\n", "EPSV\r\n")]
#[case("EPSV 1\r\n", "EPSV\r\n")]
fn epsv_leads_from_ipv4_to_ipv6(
    #[case] line: &str,
    #[case] heard: &str,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut talk = Talk::new(NAT46, fwdmode);
    assert_eq!(talk.asks("EPSV ALL\r\n"), "EPSV ALL\r\n");
    assert_eq!(talk.answers("200 ok\r\n"), "200 ok\r\n");
    assert_eq!(talk.asks("PASV\r\n"), "EPSV\r\n");
    assert_eq!(talk.asks(line), heard);
    let answer = "229 Entering Extended Passive Mode (|||6446|)\r\n";
    assert_eq!(talk.answers(answer), answer);
    talk.data_conn_leads_to(6446, "[2001:db8:100::2]:6446");
}

/// Between ends of one family commands need no translation.
#[test]
fn commands_between_ends_of_one_family_are_left_alone() {
    let mut director = director(FwdMode::FullNat);
    control(&mut director);
    let mut seq = 1001;
    for line in ["EPSV ALL\r\n", "EPSV 2\r\n", "PASV\r\n", "EPSV\r\n"] {
        assert_eq!(text(&says(&mut director, seq, 5001, line)), line);
        seq += line.len() as u32;
    }
}

/// RFC 2428, 2. EPRT can name ends of both families. PORT can name IPv4 ends only, but every IPv4
/// server knows it (RFC 6384). The dest is told an address of its own family, and the data conn
/// reaches the client in the client's family.
#[rstest]
#[case::eprt_to_ipv4(NAT64, "EPRT |2|2001:db8:1::48|40001|\r\n", FwdMode::FullNat, LADDR)]
#[case::eprt_to_ipv6(NAT46, "EPRT |1|10.0.0.48|40001|\r\n", FwdMode::FullNat, LADDR6)]
#[case::port_to_ipv6(NAT46, "PORT 10,0,0,48,156,65\r\n", FwdMode::FullNat, LADDR6)]
// RFC 6146. A client without an IPv4 address is seen by a local address.
#[case::nat_by_local(NAT64, "EPRT |2|2001:db8:1::48|40001|\r\n", FwdMode::Nat, LADDR)]
// RFC 6052, 2.1. Other clients are seen by their own address.
#[case::nat_to_ipv4(
    KNOWN_NAT64,
    "EPRT |2|64:ff9b::c000:221|40001|\r\n",
    FwdMode::Nat,
    "192.0.2.33"
)]
#[case::nat_to_ipv6(NAT46, "EPRT |1|10.0.0.48|40001|\r\n", FwdMode::Nat, "64:ff9b::a00:30")]
#[case::nat_port_to_ipv6(NAT46, "port 10,0,0,48,156,65\r\n", FwdMode::Nat, "64:ff9b::a00:30")]
fn the_active_way_leads_to_the_other_family(
    #[case] ends: Ends,
    #[case] line: &str,
    #[case] fwdmode: FwdMode,
    #[case] seen_as: &'static str,
    #[values(20, 2000)] sport: u16,
) {
    let mut director = ends.director(fwdmode);
    let in_use = ports_of_in_use(&mut director, ends.laddr);
    let [client, listening] = [40_000, 40_001].map(|port| end(ends.client, port));
    let [vip_ftp, vip] = [21, sport].map(|port| end(ends.vip, port));
    let [dest_ftp, dest] = [21, sport].map(|port| end(ends.dest, port));
    let opened = director.open_between(&client, &vip_ftp, &dest_ftp);
    let has_port = u64::from(seen_as == ends.laddr);
    let says = frames::tcp(&client, &vip_ftp)
        .flags("PA")
        .seq(1001)
        .ack(5001);
    let says = says.payload(line.as_bytes()).frame(FROM_CLIENT);
    let heard = director.to_dest(&says);
    assert!(heard.checksums_right);
    assert_eq!(director.to_dest(&says).payload, heard.payload, "said again");
    let (to, port) = called(text(&heard), seen_as);
    assert_eq!(in_use.used(), 2 * has_port);
    assert!(has_port == 1 || port == 40_001, "the client's own");
    // RFC 9293, 3.4. The number acknowledged is that of the bytes which the client sent.
    let got = heard.seq + heard.payload.len() as u32;
    let answer = frames::tcp(&dest_ftp, &opened.laddr)
        .flags("PA")
        .seq(5001)
        .ack(got);
    let answer = answer.payload(b"200 ok\r\n").frame(FROM_DEST);
    assert_eq!(director.to_client(&answer).ack, 1001 + line.len() as u32);

    let call = frames::tcp(&dest, &to).flags("S").seq(7).frame(FROM_DEST);
    for _ in 0..2 {
        let seen = director.to_client(&call);
        assert_eq!((&seen.src, &seen.dst, seen.seq), (&vip, &listening, 7));
        assert!(seen.checksums_right);
    }
    let reply = frames::tcp(&listening, &vip).flags("SA").seq(70).ack(8);
    let seen = director.to_dest(&reply.frame(FROM_CLIENT));
    assert_eq!(
        (&seen.src, &seen.dst, seen.seq, seen.ack),
        (&to, &dest, 70, 8)
    );
    assert!(seen.checksums_right);
    let file = frames::tcp(&dest, &to).flags("PA").seq(8).ack(71);
    let seen = director.to_client(&file.payload(b"file").frame(FROM_DEST));
    assert_eq!(
        (&seen.payload[..], seen.checksums_right),
        (&b"file"[..], true)
    );
    assert_eq!(director.states(), ["ESTABLISHED"; 2]);
    assert_eq!(in_use.used(), 2 * has_port);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// The dest's SYN and the client's answer reach the data conn from whatever worker they come to.
#[rstest]
#[case::fullnat_to_ipv4(NAT64, FwdMode::FullNat, LADDR)]
#[case::fullnat_to_ipv6(NAT46, FwdMode::FullNat, LADDR6)]
#[case::nat_to_ipv6(NAT46, FwdMode::Nat, "64:ff9b::a00:30")]
fn calls_from_the_other_family_find_their_worker(
    #[case] ends: Ends,
    #[case] fwdmode: FwdMode,
    #[case] seen_as: &str,
) {
    let setup = Setup {
        workers: 3,
        ..ends.setup(fwdmode)
    };
    let mut workers = setup.build_all();
    let [client, listening] = [40_000, 40_001].map(|port| end(ends.client, port));
    let [vip_ftp, vip] = [21, 2000].map(|port| end(ends.vip, port));
    let [dest_ftp, dest] = [21, 2000].map(|port| end(ends.dest, port));
    let owner = config::owner_of(3, &client, &vip_ftp);
    workers[owner].open_between(&client, &vip_ftp, &dest_ftp);
    let family = if ends.client.contains(':') { 2 } else { 1 };
    let line = format!("EPRT |{family}|{}|40001|\r\n", ends.client);
    let says = frames::tcp(&client, &vip_ftp)
        .flags("PA")
        .seq(1001)
        .ack(5001);
    let says = says.payload(line.as_bytes()).frame(FROM_CLIENT);
    let heard = workers[owner].to_dest(&says);
    let (to, _) = called(text(&heard), seen_as);
    let call = frames::tcp(&dest, &to).flags("S").seq(7);
    let sent = receive_at(&mut workers, 0, LAN, &call.frame(FROM_DEST));
    assert_eq!(one(sent, WAN).src, vip);
    let answer = frames::tcp(&listening, &vip).flags("SA").seq(70).ack(8);
    let sent = receive_at(&mut workers, 2, WAN, &answer.frame(FROM_CLIENT));
    assert_eq!(one(sent, LAN).src, to);
}
