//! Reads UDP payloads as QUIC. Whatever they are, there must be no panic, and the connection ID
//! must be part of the payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::quic::ConnectionId;

fuzz_target!(|data: &[u8]| {
    let Some(id) = ConnectionId::read(data) else {
        return;
    };
    assert!(!id.octets.is_empty() && data.windows(id.octets.len()).any(|part| part == id.octets));
    assert!(!id.octets.is_empty() && id.lasting().is_none_or(|id| id.len() == 8));
    for name in [id.quic_lb_server(), id.dpvs_server()]
        .into_iter()
        .flatten()
    {
        assert!((1..=8).contains(&name.suffix_len));
        let unused = 8 - usize::from(name.suffix_len);
        assert!(name.suffix[..unused].iter().all(|octet| *octet == 0));
    }
});
