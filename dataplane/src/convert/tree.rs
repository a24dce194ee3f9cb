//! DPVS's file format, which is keepalived's: items of words, one on each line, and blocks of items
//! in braces. `#` and `!` begin a comment, `<` and `>` enclose one.

use std::iter::Peekable;
use std::str::Chars;

/// Blocks within blocks. DPVS has five levels.
const DEEPEST: usize = 64;

/// An item, e.g. `descriptor_number 1024` or `device dpdk0 { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The number of its line, from 1.
    pub(super) line: usize,
    /// Its words, at least one.
    pub(super) words: Vec<String>,
    /// What it has in braces.
    pub(super) block: Option<Vec<Item>>,
}

impl Item {
    /// The first word.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The words behind the first.
    pub(super) fn values(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The items of its block.
    pub(super) fn items(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// A brace is missing or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    /// A brace that closes nothing.
    #[error("{0}: '}}' closes no block: remove it, or add the '{{' that is missing")]
    Closed(usize),
    /// A brace that opens nothing.
    #[error("{0}: '{{' has no name before it: expected e.g. netif_defs {{")]
    Nameless(usize),
    /// A block that does not end.
    #[error("{0}: the block that begins here does not end: add '}}'")]
    Open(usize),
    /// Too many blocks within blocks.
    #[error("{0}: blocks within blocks, more than {DEEPEST} levels: close some with '}}'")]
    Deep(usize),
}

enum Token {
    Word(String),
    Open,
    Close,
    NewLine,
}

struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Tokens<'_> {
    fn skip_until(&mut self, end: char) {
        while let Some(c) = self.chars.next_if(|c| *c != end) {
            self.line += usize::from(c == '\n');
        }
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            match *self.chars.peek()? {
                '\n' => {
                    self.chars.next();
                    self.line += 1;
                    return Some(Token::NewLine);
                }
                '#' | '!' => self.skip_until('\n'),
                '<' => {
                    self.skip_until('>');
                    self.chars.next();
                }
                '{' => {
                    self.chars.next();
                    return Some(Token::Open);
                }
                '}' => {
                    self.chars.next();
                    return Some(Token::Close);
                }
                '"' => return Some(Token::Word(self.quoted())),
                c if c.is_whitespace() => {
                    self.chars.next();
                }
                _ => return Some(Token::Word(self.word())),
            }
        }
    }

    fn quoted(&mut self) -> String {
        self.chars.next();
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != '"' && *c != '\n') {
            word.push(c);
        }
        self.chars.next_if_eq(&'"');
        word
    }

    fn word(&mut self) -> String {
        let ends = |c: &char| c.is_whitespace() || "{}\"<".contains(*c);
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| !ends(c)) {
            word.push(c);
        }
        word
    }
}

/// Reads a file. A brace may be on a line of its own.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, SyntaxError> {
    let mut tokens = Tokens {
        chars: text.chars().peekable(),
        line: 1,
    };
    // The open blocks, the outermost first, and the items that each has so far.
    let mut open: Vec<Item> = Vec::new();
    let mut items: Vec<Item> = Vec::new();
    let mut outer: Vec<Vec<Item>> = Vec::new();
    let mut is_new = true;
    while let Some(token) = tokens.next() {
        let line = tokens.line;
        match token {
            Token::NewLine => is_new = true,
            Token::Word(word) => match items.last_mut().filter(|_| !is_new) {
                Some(item) => item.words.push(word),
                None => {
                    is_new = false;
                    let words = vec![word];
                    let block = None;
                    items.push(Item { line, words, block });
                }
            },
            Token::Open => {
                let item = items.pop().filter(|item| item.block.is_none());
                open.push(item.ok_or(SyntaxError::Nameless(line))?);
                if open.len() > DEEPEST {
                    return Err(SyntaxError::Deep(line));
                }
                outer.push(std::mem::take(&mut items));
                is_new = true;
            }
            Token::Close => {
                let (Some(mut item), Some(before)) = (open.pop(), outer.pop()) else {
                    return Err(SyntaxError::Closed(line));
                };
                item.block = Some(std::mem::replace(&mut items, before));
                items.push(item);
                is_new = true;
            }
        }
    }
    match open.first() {
        Some(item) => Err(SyntaxError::Open(item.line)),
        None => Ok(items),
    }
}
