//! The names of schedulers, of their flags and hash targets, both ways.

use ipvs_core::{HashOptions, HashTarget, SchedulerKind};
use tonic::Status;

use proto::v1;

/// The names that LVS and DPVS use.
const NAMES: [(&str, SchedulerKind); 14] = [
    ("rr", SchedulerKind::Rr),
    ("wrr", SchedulerKind::Wrr),
    ("lc", SchedulerKind::Lc),
    ("wlc", SchedulerKind::Wlc),
    ("sed", SchedulerKind::Sed),
    ("nq", SchedulerKind::Nq),
    ("sh", SchedulerKind::Sh(NO_OPTIONS)),
    ("dh", SchedulerKind::Dh),
    ("lblc", SchedulerKind::Lblc),
    ("lblcr", SchedulerKind::Lblcr),
    ("fo", SchedulerKind::Fo),
    ("ovf", SchedulerKind::Ovf),
    ("mh", SchedulerKind::Mh(NO_OPTIONS)),
    ("conhash", SchedulerKind::Conhash(HashTarget::Sip)),
];
const NO_OPTIONS: HashOptions = HashOptions {
    fallback: false,
    port: false,
};

/// The scheduler of a request with its flags and its hash target.
pub(super) fn scheduler(message: &v1::VirtualService) -> Result<SchedulerKind, Status> {
    let flags = &message.scheduler_flags;
    let mut kind = by_name(&message.scheduler)?;
    let name = name_of(kind);
    match &mut kind {
        SchedulerKind::Sh(options) | SchedulerKind::Mh(options) => {
            *options = hash_options(name, flags)?;
        }
        _ if flags.is_empty() => {}
        _ => {
            return Err(Status::invalid_argument(format!(
                "scheduler {name} has no flags: `VirtualService.scheduler_flags` is for sh and mh"
            )));
        }
    }
    match (&mut kind, message.hash_target.as_str()) {
        (SchedulerKind::Conhash(target), word) => *target = hash_target(word)?,
        (_, "") => {}
        _ => {
            return Err(Status::invalid_argument(format!(
                "scheduler {name} has no hash target: `VirtualService.hash_target` is for conhash"
            )));
        }
    }
    Ok(kind)
}

fn by_name(name: &str) -> Result<SchedulerKind, Status> {
    // ipvsadm's default
    let name = if name.is_empty() { "wlc" } else { name };
    if let Some((_, kind)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*kind);
    }
    let meant = name.trim_matches('-').to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&meant, known);
    // One exchanged letter is a typing error. Two make another word, since these names are short.
    let nearest = NAMES
        .iter()
        .map(|(known, _)| *known)
        .filter(|known| distance(known) < 2)
        .min_by_key(|known| distance(known));
    Err(Status::invalid_argument(match nearest {
        Some(known) => format!("unknown scheduler '{name}': did you mean {known}?"),
        None => format!(
            "unknown scheduler '{name}': there are {}",
            NAMES.map(|(known, _)| known).join(", ")
        ),
    }))
}

/// LVS's names `sh-fallback` and `sh-port`, or the numbers of older tools.
fn hash_options(name: &str, flags: &[String]) -> Result<HashOptions, Status> {
    let mut options = NO_OPTIONS;
    for flag in flags {
        let (fallback, port) = flag_names(name);
        if *flag == fallback || flag == "flag-1" {
            options.fallback = true;
        } else if *flag == port || flag == "flag-2" {
            options.port = true;
        } else {
            return Err(Status::invalid_argument(format!(
                "unknown flag '{flag}' of scheduler {name}: there are {fallback} and {port}"
            )));
        }
    }
    Ok(options)
}

fn flag_names(name: &str) -> (String, String) {
    (format!("{name}-fallback"), format!("{name}-port"))
}

fn hash_target(word: &str) -> Result<HashTarget, Status> {
    match word {
        "sip" | "" => Ok(HashTarget::Sip),
        "qid" => Ok(HashTarget::Qid),
        _ => Err(Status::invalid_argument(format!(
            "unknown hash target '{word}': there are sip (the client's address) and qid (the QUIC connection ID)"
        ))),
    }
}

/// The name of a scheduler.
pub(super) fn name_of(kind: SchedulerKind) -> &'static str {
    let same =
        |other: SchedulerKind| std::mem::discriminant(&other) == std::mem::discriminant(&kind);
    NAMES
        .iter()
        .find(|(_, known)| same(*known))
        .map_or("", |(name, _)| *name)
}

/// The names of its flags.
pub(super) fn flags_of(kind: SchedulerKind) -> Vec<String> {
    let (SchedulerKind::Sh(options) | SchedulerKind::Mh(options)) = kind else {
        return Vec::new();
    };
    let (fallback, port) = flag_names(name_of(kind));
    let flags = [(options.fallback, fallback), (options.port, port)];
    flags
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
        .collect()
}

/// Its hash target, empty if it has none.
pub(super) const fn hash_target_of(kind: SchedulerKind) -> &'static str {
    match kind {
        SchedulerKind::Conhash(HashTarget::Sip) => "sip",
        SchedulerKind::Conhash(HashTarget::Qid) => "qid",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, flags: &[&str], hash_target: &str) -> v1::VirtualService {
        v1::VirtualService {
            scheduler: name.into(),
            scheduler_flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            hash_target: hash_target.into(),
            ..v1::VirtualService::default()
        }
    }

    fn refusal(name: &str, flags: &[&str], hash_target: &str) -> String {
        let status = scheduler(&request(name, flags, hash_target)).unwrap_err();
        status.message().to_owned()
    }

    #[test]
    fn every_scheduler_is_named_as_in_lvs_and_dpvs() {
        for (flags, target, name) in [
            (&[][..], "", "rr"),
            (&[], "", "wrr"),
            (&[], "", "lc"),
            (&[], "", "wlc"),
            (&[], "", "sed"),
            (&[], "", "nq"),
            (&[], "", "sh"),
            (&["sh-fallback", "sh-port"], "", "sh"),
            (&[], "", "dh"),
            (&[], "", "lblc"),
            (&[], "", "lblcr"),
            (&[], "", "fo"),
            (&[], "", "ovf"),
            (&["mh-port"], "", "mh"),
            (&[], "sip", "conhash"),
            (&[], "qid", "conhash"),
        ] {
            let kind = scheduler(&request(name, flags, target)).unwrap();
            assert_eq!(name_of(kind), name);
            assert_eq!(flags_of(kind), flags);
            assert_eq!(hash_target_of(kind), target);
        }
    }

    #[test]
    fn defaults_are_ipvsadm_s() {
        let kind = |name| scheduler(&request(name, &[], "")).unwrap();
        assert_eq!(kind(""), SchedulerKind::Wlc);
        assert_eq!(hash_target_of(kind("conhash")), "sip");
        let by_number = scheduler(&request("mh", &["flag-2", "flag-1"], "")).unwrap();
        assert_eq!(flags_of(by_number), ["mh-fallback", "mh-port"]);
    }

    #[test]
    fn a_misspelt_scheduler_or_flag_is_answered_with_the_nearest_one() {
        for (slip, meant) in [
            ("-rr", "did you mean rr?"),
            ("RR", "did you mean rr?"),
            ("wcl", "did you mean wlc?"),
            ("conhsh", "did you mean conhash?"),
            ("lblcrr", "did you mean lblcr?"),
            (
                "fastest",
                "there are rr, wrr, lc, wlc, sed, nq, sh, dh, lblc, lblcr, fo, ovf, mh, conhash",
            ),
        ] {
            assert_eq!(
                refusal(slip, &[], ""),
                format!("unknown scheduler '{slip}': {meant}")
            );
        }
        assert_eq!(
            refusal("mh", &["sh-port"], ""),
            "unknown flag 'sh-port' of scheduler mh: there are mh-fallback and mh-port"
        );
        assert_eq!(
            refusal("rr", &["sh-port"], ""),
            "scheduler rr has no flags: `VirtualService.scheduler_flags` is for sh and mh"
        );
        assert_eq!(
            refusal("sh", &[], "sip"),
            "scheduler sh has no hash target: `VirtualService.hash_target` is for conhash"
        );
        assert!(refusal("conhash", &[], "cid").starts_with("unknown hash target 'cid'"));
    }
}
