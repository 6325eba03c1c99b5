//! A function that does what its event says. It speaks the Runtime API with the standard library alone, so that the
//! compiler builds it in a second.
use std::io::{Read, Write};
use std::net::TcpStream;

fn exchange(method: &str, path: &str, body: &str) -> (String, String) {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn main() {
    if std::env::var("INIT").as_deref() == Ok("exit") {
        println!("no start");
        std::process::exit(7);
    }
    if std::env::var("INIT").as_deref() == Ok("error") {
        exchange("POST", "init/error", r#"{"errorType":"Start","errorMessage":"not set up"}"#);
        std::process::exit(1);
    }
    if std::env::var("INIT").as_deref() == Ok("child") {
        let large: Vec<u8> = vec![1; 400 << 20];
        std::thread::sleep(std::time::Duration::from_secs(60));
        std::process::exit(i32::from(large[large.len() / 2]));
    }
    if std::env::var("INIT").as_deref() == Ok("stubborn") {
        // What is ignored before a program is put in a process's place is ignored after.
        use std::os::unix::process::CommandExt;
        let own = std::env::current_exe().unwrap();
        let mut shell = std::process::Command::new("/bin/sh");
        panic!("{}", shell.args(["-c", "trap '' TERM; exec \"$0\""]).arg(own).env("INIT", "").exec());
    }
    let mut count = 0;
    let mut hog: Vec<Vec<u8>> = Vec::new();
    loop {
        let (head, event) = exchange("GET", "invocation/next", "");
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "))
            .unwrap()
            .to_owned();
        count += 1;
        if let Ok(path) = std::env::var("TALLY") {
            let mut tally = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            tally.write_all(b".").unwrap();
        }
        let plain = event.replace(' ', "");
        let always = std::env::var("ALWAYS").unwrap_or_default();
        let word = |name: &str| always == name || plain.contains(&format!("\"do\":\"{name}\""));
        println!("event {count}");
        if word("tell") {
            println!("{plain}");
        }
        let respond = |body: &str| exchange("POST", &format!("invocation/{id}/response"), body);
        if word("stray") {
            // A child in a session of its own, and a word to its group, which takes a watcher there with it.
            std::process::Command::new("setsid").args(["sleep", "600"]).spawn().unwrap();
            let group = "kill -TERM 0";
            std::process::Command::new("sh").args(["-c", group]).status().unwrap();
            std::thread::sleep(std::time::Duration::from_secs(600));
        } else if word("fail") {
            exchange(
                "POST",
                &format!("invocation/{id}/error"),
                r#"{"errorType":"Wrong","errorMessage":"it went wrong"}"#,
            );
        } else if word("exit") {
            std::process::exit(3);
        } else if word("sleep") {
            std::thread::sleep(std::time::Duration::from_secs(600));
        } else if word("hog") {
            loop {
                hog.push(vec![1; 1 << 20]);
                if hog.len() > 2048 {
                    break;
                }
            }
        } else if word("flood") {
            for _ in 0..8 {
                std::io::stdout().write_all(&vec![b'x'; 1 << 20]).unwrap();
            }
            println!();
            respond("\"flooded\"");
        } else if word("child") {
            let own = std::env::current_exe().unwrap();
            let mut child = std::process::Command::new(own).env("INIT", "child").spawn().unwrap();
            respond(&format!("\"{:?}\"", child.wait()));
        } else if word("modes") {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            respond(&format!("\"{:o} {:o}\"", mode("."), mode("bootstrap")));
        } else if word("variables") {
            let lines: Vec<String> =
                std::env::vars().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
            respond(&format!("{{{}}}", lines.join(",")));
        } else if word("web") {
            respond(
                r#"{"statusCode":201,"headers":{"X-Own":"1","Access-Control-Allow-Origin":"http://own"},"cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true}"#,
            );
        } else if word("status") {
            // `/things/503` is answered so, anew each time, and not to be kept.
            let status = plain.split("\"rawPath\":\"/things/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            respond(&format!(
                r#"{{"statusCode":{status},"headers":{{"cache-control":"no-store"}},"body":"{count}"}}"#
            ));
        } else if word("flaky") && count < 3 {
            exchange(
                "POST",
                &format!("invocation/{id}/error"),
                r#"{"errorType":"Again","errorMessage":"not yet"}"#,
            );
        } else {
            respond(&format!(r#"{{"count":{count},"process":{},"event":{event}}}"#, std::process::id()));
        }
    }
}
