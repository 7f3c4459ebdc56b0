/// A Rust file seen twice: as written, and as *code*, where comments, the insides of strings and everything that is
/// compiled for tests only are blanked out. Both have the same lines.
#[derive(Debug)]
pub(crate) struct Source {
    /// Only production code; other characters are spaces.
    pub(crate) code: String,
    /// For each line, whether it is compiled for tests only.
    tests: Vec<bool>,
}

/// One function of production code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Line of `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub(crate) lines: usize,
}

impl Source {
    /// Reads a file. `whole` means that the whole file is compiled for tests only.
    pub(crate) fn new(text: &str, whole: bool) -> Self {
        let mut code = blank_text(text);
        let mut tests = vec![whole; text.lines().count()];
        if whole {
            code = code.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        }
        while let Some((from, to)) = test_item(&code) {
            let first = line_of(&code, from);
            let last = line_of(&code, to.saturating_sub(1));
            tests.iter_mut().take(last).skip(first - 1).for_each(|flag| *flag = true);
            code = blank(&code, from, to);
        }
        Self { code, tests }
    }

    /// How many lines are not compiled for tests only, comments and blank ones included.
    pub(crate) fn production_lines(&self) -> usize {
        self.tests.iter().filter(|test| !**test).count()
    }

    /// Lines of production code where `needle` stands between characters that are not part of a name.
    pub(crate) fn lines_with(&self, needle: &str) -> Vec<usize> {
        let numbered = self.code.lines().enumerate();
        numbered.filter(|(_, line)| holds(line, needle)).map(|(index, _)| index + 1).collect()
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let name: String = self.code[at + 3..].chars().take_while(|c| is_name(*c)).collect();
            if self.code[..at].chars().next_back().is_some_and(is_name) || name.is_empty() {
                continue;
            }
            if let Some(end) = item_end(&self.code, at).filter(|end| self.code[..*end].ends_with('}')) {
                let lines = self.code[at..end].matches('\n').count() + 1;
                found.push(Function { name, line: line_of(&self.code, at), lines });
            }
        }
        found
    }

    /// Names of the types declared in production code, with their lines.
    pub(crate) fn types(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            let mut words = line.split(|c: char| !is_name(c)).filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                if ["struct", "enum", "trait", "type", "union"].contains(&word)
                    && let Some(name) = words.next()
                {
                    found.push((index + 1, name.to_owned()));
                }
            }
        }
        found
    }
}

/// True if `needle` stands in `line` with no name character before its first or after its last name character.
pub(crate) fn holds(line: &str, needle: &str) -> bool {
    let starts_name = needle.chars().next().is_some_and(is_name);
    let ends_name = needle.chars().next_back().is_some_and(is_name);
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_name);
        let after = line[at + needle.len()..].chars().next().is_some_and(is_name);
        !(starts_name && before || ends_name && after)
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn blank(text: &str, from: usize, to: usize) -> String {
    let middle: String = text[from..to].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    [&text[..from], &middle, &text[to..]].concat()
}

/// Where the first item marked `#[cfg(test)]` (alone or first of an `all`) begins and ends.
fn test_item(code: &str) -> Option<(usize, usize)> {
    let marks = ["#[cfg(test)]", "#[cfg(all(test,"];
    let from = marks.iter().filter_map(|mark| code.find(mark)).min()?;
    let mut at = from;
    while code[at..].trim_start().starts_with("#[") {
        at += code[at..].find('[')?;
        at += closing(&code[at..])?;
    }
    Some((from, item_end(code, at).unwrap_or(code.len())))
}

/// The end of the item that begins at `at`: after the first `;` or `{...}` outside parentheses and brackets.
fn item_end(code: &str, at: usize) -> Option<usize> {
    let mut skip = at;
    for (offset, c) in code[at..].char_indices() {
        let here = at + offset;
        if here < skip {
            continue;
        }
        match c {
            '(' | '[' => skip = here + closing(&code[here..])?,
            '{' => return Some(here + closing(&code[here..])?),
            ';' => return Some(here + 1),
            _ => {}
        }
    }
    None
}

/// Length of the bracketed text that `code` begins with, both brackets counted.
fn closing(code: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// What the scanner is inside of.
enum Inside {
    Code,
    Line,
    /// A block comment, with its depth.
    Block(usize),
    /// A string; `Some` holds the closing mark of a raw one.
    Text(Option<String>),
}

/// Replaces comments and the insides of strings and characters by spaces of the same length in bytes.
fn blank_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let (mut at, mut inside) = (0, Inside::Code);
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let (step, keep, next) = match &inside {
            Inside::Code => in_code(text, at),
            Inside::Line => (1, false, (rest[0] == b'\n').then_some(Inside::Code)),
            Inside::Block(depth) => match (rest.starts_with(b"*/"), rest.starts_with(b"/*")) {
                (true, _) if *depth == 1 => (2, false, Some(Inside::Code)),
                (true, _) => (2, false, Some(Inside::Block(depth - 1))),
                (_, true) => (2, false, Some(Inside::Block(depth + 1))),
                (false, false) => (1, false, None),
            },
            Inside::Text(None) if rest[0] == b'\\' => (2, false, None),
            Inside::Text(None) => (1, rest[0] == b'"', (rest[0] == b'"').then_some(Inside::Code)),
            Inside::Text(Some(mark)) if rest.starts_with(mark.as_bytes()) => {
                (mark.len(), true, Some(Inside::Code))
            }
            Inside::Text(Some(_)) => (1, false, None),
        };
        let end = (at + step).min(bytes.len());
        if !keep {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
        inside = next.unwrap_or(inside);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// One step through code: how many bytes, whether they stay, and what begins there.
fn in_code(text: &str, at: usize) -> (usize, bool, Option<Inside>) {
    let bytes = &text.as_bytes()[at..];
    let after_name = at > 0 && text.as_bytes()[at - 1].is_ascii_alphanumeric();
    if bytes.starts_with(b"//") {
        return (2, false, Some(Inside::Line));
    }
    if bytes.starts_with(b"/*") {
        return (2, false, Some(Inside::Block(1)));
    }
    if bytes[0] == b'r' && (!after_name || text.as_bytes()[at - 1] == b'b') {
        let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
        if bytes.get(1 + hashes) == Some(&b'"') {
            return (2 + hashes, true, Some(Inside::Text(Some(format!("\"{}", "#".repeat(hashes))))));
        }
    }
    match bytes[0] {
        b'"' => (1, true, Some(Inside::Text(None))),
        b'\'' => (character(&bytes[1..]).map_or(1, |len| len + 1), false, None),
        _ => (1, true, None),
    }
}

/// Length of a character literal after its opening quote, closing quote included; `None` for a lifetime.
fn character(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'\\') {
        let end = bytes.iter().skip(2).position(|byte| *byte == b'\'')?;
        return Some(end + 3);
    }
    let end = bytes.iter().take(5).position(|byte| *byte == b'\'')?;
    let one = std::str::from_utf8(&bytes[..end]).ok()?.chars().count() == 1;
    one.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "let a = \"async \\\" x\"; // async\nlet b = r#\"dbg!(\"x\")\"#; /* tokio /* y */ z */ let c = '\"';\n";
        let source = Source::new(text, false);
        assert!(source.lines_with("async").is_empty());
        assert!(source.lines_with("dbg!").is_empty());
        assert!(source.lines_with("tokio").is_empty());
        assert_eq!(source.lines_with("c"), vec![2]);
        assert_eq!(source.code.len(), text.len());
    }

    #[test]
    fn lifetimes_are_not_characters() {
        let source =
            Source::new("fn f<'a>(x: &'a str) -> &'a str { x.unwrap() }\nlet q = '\\u{1F600}'; y()", false);
        assert_eq!(source.lines_with(".unwrap()"), vec![1]);
        assert_eq!(source.lines_with("y"), vec![2]);
    }

    #[test]
    fn items_for_tests_are_not_production() {
        let text =
            "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() { c[0].unwrap() }\n}\nfn d() {}\n";
        let source = Source::new(text, false);
        assert_eq!(source.production_lines(), 2);
        assert!(source.lines_with(".unwrap()").is_empty());
        assert_eq!(source.functions().len(), 2);
        assert_eq!(Source::new(text, true).production_lines(), 0);
        let helper = Source::new("#[cfg(test)]\npub fn of(x: [u8; 3]) -> u8 { 1 }\nfn d() {}", false);
        assert_eq!(helper.functions().len(), 1);
    }

    #[test]
    fn functions_have_their_length() {
        let source =
            Source::new("trait T { fn none(&self) -> [u8; 2]; }\nfn two(a: u8) -> u8 {\n  1 }\n", false);
        assert_eq!(source.functions(), vec![Function { name: "two".into(), line: 2, lines: 2 }]);
    }

    #[test]
    fn types_have_names() {
        let source = Source::new("pub struct Keeper;\nenum Kind { A }\nlet restruct = 1;", false);
        assert_eq!(source.types(), vec![(1, "Keeper".into()), (2, "Kind".into())]);
    }
}
