//! A function that tells its edition, its secret and the event. It speaks the Runtime API with the standard library
//! alone, so that the compiler builds it in a second.

use std::io::{Read, Write};
use std::net::TcpStream;

fn exchange(method: &str, path: &str, body: &str) -> (String, String) {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn main() {
    let edition = std::env::var("EDITION").unwrap();
    let token = std::env::var("TOKEN").unwrap();
    let note = std::fs::read_to_string("note.txt").unwrap();
    loop {
        let (head, event) = exchange("GET", "invocation/next", "");
        let id = head.lines().find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: ")).unwrap();
        println!("edition {edition} was called");
        if edition == "broken" {
            let error = r#"{"errorType":"Broken","errorMessage":"this edition is broken"}"#;
            exchange("POST", &format!("invocation/{id}/error"), error);
        } else {
            let answer = format!(
                r#"{{"edition":"{edition}","token":{},"note":"{note}","event":{event}}}"#,
                token.len()
            );
            exchange("POST", &format!("invocation/{id}/response"), &answer);
        }
    }
}
