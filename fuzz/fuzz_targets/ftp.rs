//! Reads lines of FTP's control conn. Whatever they are, there must be no panic, and an address
//! that was read must be read again after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet::ftp::{Text, read_command, read_reply};

fuzz_target!(|data: &[u8]| {
    for named in [read_command(data), read_reply(data)].into_iter().flatten() {
        assert!(named.place.start <= named.place.end && named.place.end <= data.len());
        let Some(addr) = named.addr else { continue };
        let text =
            Text::new((addr, named.port).into(), named.style).expect("of the style it was read in");
        let (before, rest) = data.split_at(named.place.start);
        let line = [before, text.bytes(), &rest[named.place.len()..]].concat();
        let again = [read_command(&line), read_reply(&line)]
            .into_iter()
            .flatten()
            .next();
        let again = again.expect("the same line with the same end");
        assert_eq!((again.addr, again.port), (named.addr, named.port));
    }
});
