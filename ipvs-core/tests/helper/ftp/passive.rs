//! Passive FTP (PASV and EPSV): the client opens the data conn. What workers know of data conns
//! that are expected.

use ipvs_core::{FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{DEST_FTP, VIP_FTP, answers, control, director, says, text};

#[rstest]
fn pasv_names_the_vip_and_numbers_follow(
    #[values(FwdMode::Nat, FwdMode::FullNat)] fwdmode: FwdMode,
) {
    let mut director = director(fwdmode);
    let control = control(&mut director);
    let delta = control.delta;
    says(&mut director, 1001, 5001, "PASV\r\n");
    let line = "227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    let seen = answers(&mut director, &control, 5001, 1007 + delta, line);
    let translated = "227 Entering Passive Mode (10,0,0,100,200,1).\r\n";
    assert_eq!((seen.seq, text(&seen)), (5001, translated));
    let again = answers(&mut director, &control, 5001, 1007 + delta, line);
    assert_eq!((again.seq, text(&again)), (5001, translated));
    // The line has become three bytes shorter, which counts for the next line and for
    // acknowledgments.
    let shorter = (line.len() - translated.len()) as u32;
    assert_eq!(shorter, 3);
    let next = 5001 + line.len() as u32;
    let ack = frames::tcp(CLIENT, VIP_FTP)
        .flags("A")
        .seq(1007)
        .ack(next - shorter);
    assert_eq!(director.to_dest(&ack.frame(FROM_CLIENT)).ack, next);
    let seen = answers(
        &mut director,
        &control,
        next,
        1007 + delta,
        "150 here it comes\r\n",
    );
    assert_eq!(seen.seq, next - shorter);
    // A second line that becomes shorter adds to the difference.
    says(&mut director, 1007, next - shorter, "PASV\r\n");
    let next = next + 19;
    let seen = answers(&mut director, &control, next, 1013 + delta, line);
    assert_eq!((seen.seq, text(&seen)), (next - shorter, translated));
    let after = next + line.len() as u32;
    let seen = answers(&mut director, &control, after, 1013 + delta, "226 done\r\n");
    assert_eq!(seen.seq, after - 2 * shorter);

    // The data conn goes to a port of the VIP without a service, and from there to the same dest
    // and port.
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:51201")
        .flags("S")
        .seq(1);
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:51201");
    let answer = frames::tcp("192.168.100.2:51201", &seen.src)
        .flags("SA")
        .seq(9)
        .ack(seen.seq + 1);
    let back = director.to_client(&answer.frame(FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.dst.as_str()),
        ("10.0.0.100:51201", "10.0.0.48:40001")
    );
    // A conn of another client, or to another port, was not expected.
    for (from, to) in [
        ("10.0.0.49:40001", "10.0.0.100:51201"),
        ("10.0.0.48:40001", "10.0.0.100:51202"),
    ] {
        let stray = frames::tcp(from, to).flags("S").frame(FROM_CLIENT);
        assert_eq!(director.receive(WAN, &stray), []);
    }
    assert_eq!(director.wire.to_kernel.len(), 2);
}

/// RFC 1123, 4.1.2.6: the numbers of 227 are found wherever they stand. ip_vs_ftp reads the first
/// line of a segment up to the last number.
#[rstest]
#[case("227 Entering Passive Mode #\r\n")]
#[case("227 Data will come to # \r\n")]
#[case("227 =#\r\n")]
#[case("227 (#).\n")]
#[case("227 mode 2 passif (#) d'accord\r\n150 second line\r\n")]
fn a_reply_to_pasv_is_read_however_it_is_written(
    #[values(FwdMode::Nat, FwdMode::FullNat)] fwdmode: FwdMode,
    #[case] reply: &str,
) {
    let mut director = director(fwdmode);
    let control = control(&mut director);
    says(&mut director, 1001, 5001, "PASV\r\n");
    let line = reply.replace('#', "192,168,100,2,200,1");
    let acked = 1007 + control.delta;
    let seen = answers(&mut director, &control, 5001, acked, &line);
    assert_eq!(text(&seen), reply.replace('#', "10,0,0,100,200,1"));
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:51201").flags("S");
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:51201");
}

/// RFC 2018, 3. The segment with the edited line is lost, and the client has the one behind it: the
/// acknowledgment is in front of the edit, the block behind it.
#[rstest]
fn sack_blocks_behind_an_edited_line_are_translated(
    #[values(FwdMode::Nat, FwdMode::FullNat)] fwdmode: FwdMode,
) {
    let mut director = director(fwdmode);
    let control = control(&mut director);
    let acked = 1007 + control.delta;
    says(&mut director, 1001, 5001, "PASV\r\n");
    let line = "227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    let len = line.len() as u32;
    let seen = answers(&mut director, &control, 5001, acked, line);
    let shorter = len - seen.payload.len() as u32;
    let next = answers(&mut director, &control, 5001 + len, acked, "150 here\r\n");
    let block =
        |from: u32, to: u32| [&[1, 1, 5, 10][..], &from.to_be_bytes(), &to.to_be_bytes()].concat();
    let lost = frames::tcp(CLIENT, VIP_FTP).flags("A").seq(1007).ack(5001);
    let lost = lost.options(&block(next.seq, next.seq + 10));
    let seen = director.to_dest(&lost.frame(FROM_CLIENT));
    assert_eq!(next.seq, 5001 + len - shorter);
    assert_eq!(seen.ack, 5001);
    let edges = block(5001 + len, 5001 + len + 10);
    assert!(seen.options.ends_with(&edges), "{:?}", seen.options);
    assert!(seen.checksums_right);
}

#[test]
fn epsv_names_no_address_and_is_let_through_as_it_is() {
    let mut director = director(FwdMode::Nat);
    let control = control(&mut director);
    says(&mut director, 1001, 5001, "EPSV\r\n");
    let line = "229 Entering Extended Passive Mode (|||6446|)\r\n";
    assert_eq!(
        text(&answers(&mut director, &control, 5001, 1007, line)),
        line
    );
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:6446").flags("S");
    assert_eq!(
        director.to_dest(&data.frame(FROM_CLIENT)).dst,
        "192.168.100.2:6446"
    );
    director.wait_s(61);
    let late = frames::tcp("10.0.0.48:40002", "10.0.0.100:6446").flags("S");
    assert_eq!(
        director.receive(WAN, &late.frame(FROM_CLIENT)),
        [],
        "within a minute"
    );
}

/// RFC 2577, 3. A client must not make the dest connect to a third host.
#[test]
fn a_client_cannot_make_the_dest_connect_to_a_third_host() {
    let mut director = director(FwdMode::Nat);
    control(&mut director);
    says(&mut director, 1001, 5001, "PORT 10,0,0,49,156,65\r\n");
    let call = frames::tcp("192.168.100.2:20", "10.0.0.49:40001").flags("S");
    assert_eq!(director.receive(LAN, &call.frame(FROM_DEST)), []);
}

#[test]
fn ipv6_has_the_extended_commands() {
    let (vip, dest) = ("[2001:db8:1::100]:21", "[2001:db8:100::2]:21");
    let mut director = Setup {
        vip,
        dests: vec![dest],
        ..setup6(Protocol::Tcp, FwdMode::FullNat)
    }
    .build();
    director.open_between(CLIENT6, vip, dest);
    let line = b"EPRT |2|2001:db8:1::48|40001|\r\n";
    let segment = frames::tcp(CLIENT6, vip).flags("PA").seq(1001).ack(5001);
    let seen = director.to_dest(&segment.payload(line).frame(FROM_CLIENT));
    assert!(seen.checksums_right && text(&seen).starts_with("EPRT |2|2001:db8:100::200|"));
    let lport = text(&seen).split('|').nth(3).unwrap();
    let to = format!("[2001:db8:100::200]:{lport}");
    let call = frames::tcp("[2001:db8:100::2]:20", &to).flags("S");
    let seen = director.to_client(&call.frame(FROM_DEST));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("[2001:db8:1::100]:20", "[2001:db8:1::48]:40001")
    );
}

/// The first packet of a data conn may come to any worker.
#[test]
fn other_workers_know_which_data_conns_are_expected() {
    let mut workers = Setup {
        workers: 2,
        fwdmode: FwdMode::Nat,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    }
    .build_all();
    let owner = config::owner_of(2, CLIENT, VIP_FTP);
    let other = 1 - owner;
    let control = control(&mut workers[owner]);
    answers(
        &mut workers[owner],
        &control,
        5001,
        1001,
        "229 Entering Extended Passive Mode (|||6446|)\r\n",
    );
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:6446").flags("S");
    assert_eq!(
        workers[other].to_dest(&data.frame(FROM_CLIENT)).dst,
        "192.168.100.2:6446"
    );
    // The dest's SYN comes to one worker and the client's answer to the other, which hands it over.
    says(&mut workers[owner], 1001, 5001, "PORT 10,0,0,48,156,65\r\n");
    let call = frames::tcp("192.168.100.2:20", "10.0.0.48:40001").flags("S");
    workers[other].to_client(&call.frame(FROM_DEST));
    let answer = frames::tcp("10.0.0.48:40001", "10.0.0.100:20")
        .flags("SA")
        .seq(70)
        .ack(1);
    let sent = receive_at(&mut workers, owner, WAN, &answer.frame(FROM_CLIENT));
    assert_eq!(Seen::parse(&only(sent).1).dst, "192.168.100.2:20");
}

/// DPVS: the conns of a removed dest go on. The transfers of an FTP session are a part of it.
#[test]
fn a_session_with_a_removed_dest_still_opens_its_data_conns() {
    let mut director = director(FwdMode::FullNat);
    let control = control(&mut director);
    director.edit(|service| {
        let mut other = service.dests[0].clone();
        other.id = ipvs_core::DestId(1);
        other.addr = [192, 168, 100, 3].into();
        service.leaving = std::mem::replace(&mut service.dests, vec![other]);
    });
    says(&mut director, 1001, 5001, "PASV\r\n");
    let line = "227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    answers(&mut director, &control, 5001, 1007 + control.delta, line);
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:51201").flags("S");
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:51201");
}
