//! Messages speak of the API, and `cli` makes them speak of flags and commands.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cli::CliError;
use inet::Prefix;
use ipvs_core::{Protocol, ServiceKey, Timeouts};
use prost::Message;
use proto::v1::FILE_DESCRIPTOR_SET;

use super::*;
use crate::desired::{
    AccessError, AccessList, AddressError, Desired, LaddrError, NoDevice, RouteError, ServiceError,
};

/// One error of each variant, which does not compile if one is missing.
macro_rules! each {
    ($error:ident: $($variant:ident $fields:tt),* $(,)?) => {{
        fn all_are_here(error: &$error) {
            match error { $($error::$variant { .. } => {})* }
        }
        let all = vec![$($error::$variant $fields),*];
        all.iter().for_each(all_are_here);
        all.into_iter().map(Status::from)
    }};
}

fn refusals() -> Vec<Status> {
    let all = service_refusals().into_iter().chain(laddr_refusals());
    all.chain(access_refusals())
        .chain(address_refusals())
        .chain(route_refusals())
        .chain([no_device().into()])
        .collect()
}

fn service_key() -> ServiceKey {
    ServiceKey::vip(Protocol::Tcp, [10, 0, 0, 100].into(), 80)
}

fn rip() -> IpAddr {
    [192, 168, 100, 2].into()
}

fn prefix() -> Prefix {
    Prefix::host(rip())
}

fn no_device() -> NoDevice {
    let desired = Desired::new(Vec::new(), Timeouts::default(), 1);
    desired.device("dpdk9").unwrap_err()
}

fn service_refusals() -> Vec<Status> {
    let (service, addr, port) = (service_key(), rip(), 80);
    let (prefix, prefix_len, device) = (prefix(), 24, String::from("dpdk0"));
    let fwdmode = "DR (`FWD_MODE_DR`)";
    let lan = device.clone();
    each!(ServiceError:
        Exists (service), Missing (service), PortZero (service),
        DestPortOfAnyPort { service, addr, port },
        OnePacketNeedsUdp (service), OnePacketNeedsNoReply { service, addr, fwdmode },
        PersistentMatch (service), SynProxyNeedsTcp (service),
        SynProxyNeedsReplies { service, addr, fwdmode },
        TunnelSpread { addr, prefix },
        UoaNeedsUdp (service), UoaBesideProxy (service),
        UoaNeedsFullNat { service, addr, fwdmode }, UoaOptionNeedsIpv4 { service, addr },
        ProxyMatch (service), ProxyV1NeedsTcp (service), ProxyOfSctp (service),
        ProxyNeedsRewrite { service, addr, fwdmode },
        DestIsOurs { service, addr, prefix_len, device },
        DrainWithWeight (addr), OtherFamily { service, addr, fwdmode },
        WanOtherFamily { service, addr }, IcmpOtherFamily { service, addr },
        QidNeedsUdp (service), NotUnicast (addr),
        DestExists { service, addr, port }, DestMissing { service, addr, port },
        DestPortZero (addr), Thresholds { addr, port, upper: 1, lower: 2 },
        PortKept { service, addr, port, fwdmode },
        NoDevice { service, device: lan },
        SnatOfVip { service, addr, fwdmode }, ModeOfMatch { service, addr, fwdmode },
        PortOfSnat { addr, port }, NoWanAddress (addr),
        TooManyDests (addr), TooManyServices {}, ServiceFull (service),
    )
    .collect()
}

fn laddr_refusals() -> Vec<Status> {
    let (service, addr, prefix_len) = (service_key(), rip(), 24);
    let (device, there) = (String::from("dpdk0"), String::from("dpdk1"));
    each!(LaddrError:
        Service (ServiceError::Missing(service)), NoDevice (no_device()),
        Address (AddressError::TooMany),
        TooMany { addr, service },
        Exists { addr, service }, Missing { addr, service }, IsWan { addr, service },
        NotShared { addr, prefix_len, device }, Elsewhere { addr, device: there },
    )
    .collect()
}

fn access_refusals() -> Vec<Status> {
    let (service, prefix) = (service_key(), prefix());
    each!(AccessError:
        Service (ServiceError::Missing(service)),
        Exists { list: AccessList::Allow, prefix, service },
        Missing { list: AccessList::Allow, prefix, service },
    )
    .collect()
}

fn address_refusals() -> Vec<Status> {
    let (addr, prefix_len, names) = (rip(), 24, ["dpdk0"; 4].map(String::from));
    let [device, of_missing, of_other, of_link] = names;
    each!(AddressError:
        NoDevice (no_device()), Exists { addr, prefix_len, device },
        Missing { addr, device: of_missing },
        OtherPrefixLen { addr, prefix_len, device: of_other },
        InUse { addr, services: 1 }, IsWan { addr, dests: 1 },
        NotUnicast { addr }, OfDest (addr), PrefixLen (0), TooMany {},
        LinkLocal { addr, device: of_link },
    )
    .collect()
}

fn route_refusals() -> Vec<Status> {
    let (addr, prefix, names) = (rip(), prefix(), ["dpdk0"; 3].map(String::from));
    let [device, existing, of_address] = names;
    each!(RouteError:
        NoDevice (no_device()), DeviceUnknown (prefix),
        GatewayUnreachable { prefix, gateway: addr, device },
        Exists { prefix, device: existing, metric: 0 },
        Missing (prefix), NoneAs (prefix), OfAddress { prefix, device: of_address },
        KniHostPrefix (addr), SrcUnknown (addr), Mtu { mtu: 9, most: 1500 },
        OtherFamily { prefix, addr },
    )
    .collect()
}

/// A flag as operators type it, or a program's name, outside of the words for them in English.
fn speaks_of_a_command_line(text: &str) -> bool {
    let is_flag = |word: &str| {
        let name = word.trim_start_matches('-');
        name.len() < word.len() && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    };
    let mut words = text.split([' ', '(', '`', '\'', '"', ',']);
    words.any(is_flag) || text.contains("dpip") || text.contains("ipvsadm")
}

/// All calls, fields with their message, and values of enums.
fn api_names() -> BTreeSet<String> {
    let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut names = BTreeSet::new();
    for file in &files.file {
        let services = file.service.iter();
        names.extend(
            services
                .flat_map(|service| &service.method)
                .map(|call| call.name().into()),
        );
        let enums = file.enum_type.iter();
        names.extend(
            enums
                .flat_map(|kind| &kind.value)
                .map(|value| value.name().into()),
        );
        for message in &file.message_type {
            let fields = message.field.iter();
            names.extend(fields.map(|field| format!("{}.{}", message.name(), field.name())));
        }
    }
    names
}

/// Sources whose texts may reach a client.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| !path.ends_with("tests.rs"));
    files
        .chain(folders.iter().flat_map(|folder| sources(folder)))
        .collect()
}

/// The lines of code that may be texts, without the tests below them.
fn lines_of_code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim_start);
    lines
        .filter(|line| !line.starts_with("//") && line.contains('"'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_refusal_speaks_of_flags_or_commands() {
    for refusal in refusals() {
        let message = refusal.message();
        assert!(!speaks_of_a_command_line(message), "{message}");
    }
    for line in ["give -p too", "(`dpip addr`)", "use --uoa opp", "-r {0}:80"] {
        assert!(speaks_of_a_command_line(line), "{line}");
    }
}

/// Not all refusals are variants of an error.
#[test]
fn no_text_of_the_api_speaks_of_flags_or_commands() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all = ["api", "desired"].map(|folder| sources(&src.join(folder)));
    for path in all.iter().flatten() {
        for line in lines_of_code(path) {
            assert!(!speaks_of_a_command_line(&line), "{path:?}: {line}");
        }
    }
}

#[test]
fn what_messages_name_is_in_the_proto_files() {
    let known = api_names();
    let refusals = refusals();
    let sentences = refusals
        .iter()
        .filter_map(|refusal| sentence(refusal.message()));
    let parts = sentences.flat_map(|sentence| sentence.parts);
    for name in parts.flat_map(|part| part.names) {
        assert!(known.contains(&name.name), "{}", name.name);
    }
    for (name, word) in cli::API_WORDS {
        assert!(known.contains(*name), "{name}, for operators {word}");
    }
}

#[test]
fn operators_read_flags_and_commands_only() {
    for refusal in refusals() {
        let shown = explained(&refusal).map_or_else(|| refusal.clone().into(), CliError::from);
        let known = api_names();
        let named = known
            .iter()
            .find(|name| shown.text.contains(&format!("`{name}")));
        assert_eq!(named, None, "{shown}");
    }
}

#[test]
fn operators_read_how_to_go_on() {
    let (service, addr) = (service_key(), rip());
    let texts = [
        (
            ServiceError::DrainWithWeight(addr).into(),
            "dest 192.168.100.2: a dest drains with weight 0: give -w 0 beside --drain",
        ),
        (
            ServiceError::Missing(service).into(),
            "no service TCP 10.0.0.100:80: `ipvsadm-rs -ln` lists those that there are",
        ),
        (
            ServiceError::Exists(service).into(),
            "service TCP 10.0.0.100:80 exists: change it with -E, or delete it first with -D",
        ),
        (
            ServiceError::PersistentMatch(service).into(),
            "service TCP 10.0.0.100:80: persistence (-p) is for services on a VIP: -s sh keeps a \
             host to its WAN address",
        ),
        (
            ServiceError::NoWanAddress(addr).into(),
            "invalid WAN address 192.168.100.2: expected an address of the director with sapool \
             (`dpip addr add 192.168.100.2/32 dev dpdk1 sapool` adds it)",
        ),
        (
            ServiceError::DestPortZero("fd00::2".parse().unwrap()).into(),
            "dest fd00::2: a real server cannot listen on port 0: give its port, e.g. \
             -r [fd00::2]:80",
        ),
        (
            AddressError::IsWan { addr, dests: 1 }.into(),
            "192.168.100.2 is the WAN address of 1 dest(s): delete them first (`ipvsadm-rs -d -H \
             MATCH -r 192.168.100.2:0`)",
        ),
        (
            RouteError::Mtu { mtu: 9, most: 1500 }.into(),
            "mtu 9 is out of range: 68 to 1500, the device's",
        ),
    ];
    for (refusal, text) in texts {
        assert_eq!(CliError::from(explained(&refusal).unwrap()).text, text);
    }
}
