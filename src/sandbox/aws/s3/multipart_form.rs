//! A form as browsers post it: `multipart/form-data`, read whole.

use bytes::Bytes;

/// The parts of a form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Names and values before the file; names in lower case.
    pub(super) fields: Vec<(String, String)>,
    /// The file's name and bytes. What comes behind it is not read, as S3 has it.
    pub(super) file: Option<(String, Bytes)>,
}

/// Reads a form; `None` if it is none.
pub(super) fn read(kind: &str, body: &Bytes) -> Option<Form> {
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut form = Form::default();
    let mut at = find(body, first.as_bytes())? + first.len();
    loop {
        match body.get(at..at + 2)? {
            b"--" => return Some(form),
            b"\r\n" => at += 2,
            _ => return None,
        }
        let head_end = at + find(&body[at..], b"\r\n\r\n")?;
        let head = std::str::from_utf8(&body[at..head_end]).ok()?;
        let from = head_end + 4;
        let until = from + find(&body[from..], next.as_bytes())?;
        let disposition = head.lines().find(|line| {
            line.get(..20).is_some_and(|name| name.eq_ignore_ascii_case("content-disposition:"))
        })?;
        let name = parameter(disposition, "name")?.to_ascii_lowercase();
        if name == "file" {
            let file = parameter(disposition, "filename").unwrap_or_default();
            form.file = Some((file, body.slice(from..until)));
            return Some(form);
        }
        form.fields.push((name, String::from_utf8(body[from..until].to_vec()).ok()?));
        at = until + next.len();
    }
}

fn parameter(line: &str, name: &str) -> Option<String> {
    let start = format!("{name}=");
    let part = line.split(';').map(str::trim).find_map(|part| part.strip_prefix(&start))?;
    Some(part.trim_matches('"').to_owned())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    // The first byte is looked for quickly, and rarely is the beginning of a boundary.
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(step) = text.get(from..)?.iter().position(|byte| *byte == first) {
        from += step;
        if text[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_ends_at_its_file() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/b\r\n--x\r\ncontent-disposition: form-data; \
                    name=\"file\"; filename=\"c d.png\"\r\nContent-Type: image/png\r\n\r\n\r\n--y\r\n--x\r\nContent-Disposition: \
                    form-data; name=\"late\"\r\n\r\nz\r\n--x--\r\n";
        let form = read("multipart/form-data; boundary=x", &Bytes::from(body)).unwrap();
        assert_eq!(form.fields, [("key".to_owned(), "a/b".to_owned())]);
        assert_eq!(form.file, Some(("c d.png".to_owned(), Bytes::from("\r\n--y"))));
        for broken in ["", "--x", "--x\r\nno head", "--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"]
        {
            assert!(read("multipart/form-data; boundary=x", &Bytes::from(broken)).is_none(), "{broken}");
        }
    }
}
