//! The key by which packets have owners.

use rss::{KEY_LEN, Key, Owners};

/// A random key, so that nobody outside can choose packets that all come to one worker. A key that
/// leaves local ports no choice is not taken: of random keys few are like that.
///
/// # Errors
/// If the kernel has no random numbers.
pub(crate) fn random_key() -> Result<Key, getrandom::Error> {
    loop {
        let mut bytes = [0; KEY_LEN];
        getrandom::fill(&mut bytes)?;
        let key = Key(bytes);
        let table = Owners::in_turns(rss::MOST_ENTRIES, 1);
        if Owners::new(&key, table, 1).is_ok() {
            return Ok(key);
        }
    }
}
