//! `mcm functions logs`: what a function has logged, and with `--follow` what it goes on to log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::functions::released;
use super::options::{Variables, time};
use super::survey::guard;
use super::workspace::Workspace;
use super::{Context, reach, signals};
use crate::model::{ErrorKind, LogEvent};
use crate::provider::Router;
use crate::ui;

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_secs(1);
/// An event may come to the log so much later than younger ones, and is told all the same.
const LATE_MS: i64 = 120_000;
/// A look at a log ends after so many pages.
const PAGES: usize = 10_000;

/// Show what a function of a stack has logged, in order of time
#[derive(Args, Debug)]
pub(super) struct Logs {
    /// The function's name in the stack file
    function: String,
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// From how long ago on, such as 90s, 10m, 2h or 1d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    since: Duration,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Print each event as the cloud has it, a JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
}

impl Logs {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        let (function, _) = released(&loaded.stack, &self.function)?;
        signals::run(async |mut signals| {
            let reach = signals.or(reach::open(&workspace, &loaded.stack)).await?;
            let reading = Box::pin(async {
                guard(&reach.router).await?;
                self.read(&reach.router, function, context).await
            });
            let ending = if self.follow {
                // Whoever follows ends it so: that is no interruption.
                tokio::select! {
                    biased;
                    () = signals.came() => Ok(Exit::Done),
                    ending = reading => ending,
                }
            } else {
                signals.or(reading).await
            };
            reach.close().await;
            ending
        })
    }

    async fn read(&self, router: &Router, function: &str, context: &Context) -> Ending {
        let since = i64::try_from(self.since.as_millis()).unwrap_or(i64::MAX);
        let since_ms = Timestamp::now().as_millisecond().saturating_sub(since).max(0);
        let mut told = Told::since(since_ms);
        loop {
            if !self.look(router, function, &mut told, context).await? {
                // No one reads any more.
                return Ok(Exit::Done);
            }
            if !self.follow {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if told.newest_ms.is_none() {
            let since = Timestamp::from_millisecond(since_ms).unwrap_or_default();
            let since = since.strftime("%Y-%m-%d %H:%M:%S UTC");
            ui::print::notice(&format!("{function} has logged nothing since {since}"));
        }
        Ok(Exit::Done)
    }

    /// Tells what is new, page by page; whether anyone reads it still.
    async fn look(
        &self,
        router: &Router,
        function: &str,
        told: &mut Told,
        context: &Context,
    ) -> Result<bool, Failure> {
        let (from, mut token) = (told.from(), None::<String>);
        for _ in 0..PAGES {
            let page = router.logs(function, from, token.as_deref()).await;
            let (events, next) = page.map_err(|error| {
                let what = match error.kind {
                    ErrorKind::NotFound => format!("{function} has no log yet"),
                    _ => format!("the log of {function} could not be read"),
                };
                Failure::clouds(std::iter::once((what, &error)))
            })?;
            let line = |event: &LogEvent| {
                if self.json { ui::logs::json(event) } else { ui::logs::text(event, context.out) }
            };
            let lines: Vec<String> = told.fresh(events).iter().map(line).collect();
            if !lines.is_empty() && !ui::print::more(&lines.join("\n")) {
                return Ok(false);
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(true)
    }
}

/// What of a log was told: all before some moment, and of what came since, each event by its id.
struct Told {
    since_ms: i64,
    newest_ms: Option<i64>,
    /// Times by id.
    ids: BTreeMap<String, i64>,
}

impl Told {
    fn since(since_ms: i64) -> Self {
        Self { since_ms, newest_ms: None, ids: BTreeMap::new() }
    }

    /// From when on the log must be looked at again.
    fn from(&self) -> i64 {
        self.newest_ms.map_or(self.since_ms, |newest| (newest - LATE_MS).max(self.since_ms))
    }

    /// The events that were not told yet. They count as told from now on.
    fn fresh(&mut self, events: Vec<LogEvent>) -> Vec<LogEvent> {
        let mut fresh = Vec::with_capacity(events.len());
        for event in events {
            // A function's clock may be ahead: then the log's own counts.
            self.newest_ms = self.newest_ms.max(Some(event.at_ms.min(event.came_ms)));
            if self.ids.insert(event.id.clone(), event.at_ms).is_none() {
                fresh.push(event);
            }
        }
        let from = self.from();
        self.ids.retain(|_, at_ms| *at_ms >= from);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, at_ms: i64, came_ms: i64) -> LogEvent {
        LogEvent { id: id.to_owned(), at_ms, came_ms, stream: String::new(), message: String::new() }
    }

    fn ids(events: &[LogEvent]) -> Vec<&str> {
        events.iter().map(|event| event.id.as_str()).collect()
    }

    #[test]
    fn no_event_is_told_twice_and_a_late_one_is_told() {
        let mut told = Told::since(1_000_000);
        assert_eq!(told.from(), 1_000_000);
        let first = told.fresh(vec![event("a", 1_000_000, 1_000_100), event("b", 1_000_005, 1_000_100)]);
        assert_eq!((ids(&first), told.from()), (vec!["a", "b"], 1_000_000));
        // `late` is older than what was told, and comes after it.
        let late = event("late", 1_000_002, 1_001_000);
        let second = told.fresh(vec![event("a", 1_000_000, 1_000_100), late.clone()]);
        assert_eq!(ids(&second), ["late"]);
        assert_eq!(ids(&told.fresh(vec![late])), [""; 0]);
        // What is not looked at any more is not remembered; what may be, is.
        told.fresh(vec![event("c", 1_200_000, 1_200_001), event("d", 1_130_000, 1_200_001)]);
        assert_eq!(told.from(), 1_080_000);
        assert_eq!(told.ids.keys().collect::<Vec<_>>(), ["c", "d"]);
        // A clock that is ahead does not make what comes next late.
        told.fresh(vec![event("ahead", 9_000_000, 1_210_000)]);
        assert_eq!(told.from(), 1_090_000);
        assert_eq!(ids(&told.fresh(vec![event("ahead", 9_000_000, 1_210_000)])), [""; 0]);
    }
}
