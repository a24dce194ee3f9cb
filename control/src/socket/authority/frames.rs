//! The frames that a client sends, RFC 9113 section 4.1.

use super::fields::Fields;

/// The client preface in bytes, RFC 9113 section 3.4.
const PREFACE: usize = 24;
/// The header of a frame: length (3 bytes), type, flags, stream (4 bytes).
const HEADER: usize = 9;
/// Frame types, RFC 9113 sections 6.2 and 6.10.
const HEADERS: u8 = 0x01;
const CONTINUATION: u8 = 0x09;
/// Flags of HEADERS, RFC 9113 section 6.2, and what they put in front of the header block: the
/// length of the padding, and a priority.
const PADDED: u8 = 0x08;
const PAD_LENGTH: usize = 1;
const PRIORITY: u8 = 0x20;
const PRIORITY_FIELDS: usize = 5;

/// What one connection's client sends, while it passes.
#[derive(Debug)]
pub(crate) struct Frames {
    preface_left: usize,
    header: [u8; HEADER],
    /// The position in the frame, its header included.
    at: usize,
    /// Bytes of padding at the end of the frame.
    padding: usize,
    fields: Fields,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            preface_left: PREFACE,
            header: [0; HEADER],
            at: 0,
            padding: 0,
            fields: Fields::default(),
        }
    }

    /// Replaces what needs it in the next bytes of the stream.
    pub(crate) fn rewrite(&mut self, bytes: &mut [u8]) {
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        for byte in &mut bytes[preface..] {
            *byte = self.rewritten(*byte);
        }
    }

    fn rewritten(&mut self, byte: u8) -> u8 {
        let at = self.at;
        self.at += 1;
        let mut rewritten = byte;
        if at < HEADER {
            self.header[at] = byte;
            if self.at == HEADER && self.kind() == HEADERS {
                self.fields = Fields::default();
            }
        } else if at == HEADER && self.has(PADDED) {
            self.padding = byte.into();
        } else if self.is_block(at) {
            rewritten = self.fields.rewritten(byte);
        }
        if self.at >= HEADER && self.at == self.len() {
            (self.at, self.padding) = (0, 0);
        }
        rewritten
    }

    fn is_block(&self, at: usize) -> bool {
        if !matches!(self.kind(), HEADERS | CONTINUATION) {
            return false;
        }
        let mut begin = HEADER;
        if self.has(PADDED) {
            begin += PAD_LENGTH;
        }
        if self.has(PRIORITY) {
            begin += PRIORITY_FIELDS;
        }
        (begin..self.len().saturating_sub(self.padding)).contains(&at)
    }

    const fn kind(&self) -> u8 {
        self.header[3]
    }

    const fn has(&self, flag: u8) -> bool {
        self.kind() == HEADERS && self.header[4] & flag != 0
    }

    /// The length of the frame, its header included.
    const fn len(&self) -> usize {
        let [high, middle, low, ..] = self.header;
        HEADER + u32::from_be_bytes([0, high, middle, low]) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// A literal field with indexing whose name is written out, as gRPC's C core writes it.
    fn literal(name: &str, value: &str) -> Vec<u8> {
        let mut field = vec![0x40, name.len() as u8];
        field.extend_from_slice(name.as_bytes());
        field.push(value.len() as u8);
        field.extend_from_slice(value.as_bytes());
        field
    }

    /// The same stream of two requests, with a path of one kind or another as authority.
    fn requests(authority: &str) -> Vec<u8> {
        // `:method POST` and `:scheme http` by index, then the rest (RFC 7541 appendix A).
        let block = [
            literal(":path", "/a%2Fb"),
            vec![0x83, 0x86],
            literal(":authority", authority),
            literal("x", "%2F"),
        ]
        .concat();
        let (first, second) = block.split_at(30);
        // The static table has the name of the authority at index 1.
        let by_index = [&[0x01, authority.len() as u8], authority.as_bytes()].concat();
        let padded = [&[3, 0, 0, 0, 0, 9], by_index.as_slice(), b"%/%"].concat();
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, &[]),
            frame(HEADERS, 0, first),
            frame(CONTINUATION, 4, second),
            frame(0, 1, b"data%2F:authority"),
            frame(HEADERS, 4 | PADDED | PRIORITY, &padded),
            frame(0, 1, b"%"),
        ]
        .concat()
    }

    #[test]
    fn only_the_authority_changes_however_the_bytes_are_split() {
        let expected = requests("run-2Fdpvsd.sock");
        for chunk in [1, 2, 3, 7, 1000] {
            let mut stream = requests("run%2Fdpvsd.sock");
            let mut frames = Frames::new();
            stream
                .chunks_mut(chunk)
                .for_each(|bytes| frames.rewrite(bytes));
            assert_eq!(
                String::from_utf8_lossy(&stream),
                String::from_utf8_lossy(&expected)
            );
        }
    }

    #[test]
    fn a_host_name_stays_as_it_is() {
        let mut stream = requests("localhost");
        Frames::new().rewrite(&mut stream);
        assert_eq!(stream, requests("localhost"));
    }

    #[test]
    fn garbage_is_no_reason_to_stop() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..2000 {
            let mut frames = Frames::new();
            frames.rewrite(&mut [0; PREFACE]);
            let mut block: Vec<u8> = (0..100).map(|_| noise()).collect();
            frames.rewrite(&mut frame(HEADERS, noise(), &block));
            frames.rewrite(&mut block);
            frames.rewrite(&mut [0xFF; 64]);
        }
    }
}
