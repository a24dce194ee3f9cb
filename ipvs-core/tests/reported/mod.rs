//! Situations in which other load balancers failed, by public reports. Each test names its report
//! (a repository on GitHub and a number) and says what is right.

mod answers;
mod changes;
mod proxy_headers;
mod snat;

use testkit::director::*;
use testkit::frames;

const L2_LEN: usize = 14;

fn syn_of(client: &str) -> Vec<u8> {
    frames::tcp(client, VIP).flags("S").frame(FROM_CLIENT)
}
