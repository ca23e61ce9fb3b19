//! What client programs print, and texts for them.

/// What is asked for, row by row and column by column. NULL is the text `NULL`, as clients print it.
pub type Rows = Vec<Vec<String>>;

/// What a client prints with `--batch`: a line per row, tabs between columns, and both escaped in values.
pub fn parsed(printed: &str) -> Rows {
    let rows = printed.split_terminator('\n');
    rows.map(|row| row.split('\t').map(unescaped).collect()).collect()
}

fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}

/// A text as a literal that means the same in every SQL mode.
pub fn literal(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 X'{digits}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_whatever_is_in_them() {
        let rows = parsed("a\\nb\tc\\td\\\\n\nNULL\t\n");
        assert_eq!(rows, [["a\nb", "c\td\\n"], ["NULL", ""]]);
        assert!(parsed("").is_empty());
    }
}
