//! The main road of apply and destroy: parse -> lock -> observe -> plan -> render -> approve -> apply -> outputs.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::RunOptions;
use super::planfile::PlanFile;
use super::reach::{self, Here, Reach};
use super::signals::{self, Signals};
use super::survey::{decide, follow, obstacles, survey};
use super::workspace::{Loaded, Workspace};
use super::{Context, functions};
use crate::engine::{self, Answer, ApprovedPlan, Books, Request, Settings, Stop};
use crate::model::{
    Diagnostic, ErrorKind, Event, Inventory, Journal, LedgerError, Mode, Outcome, Phase, Plan,
};
use crate::stack::Given;
use crate::store::{self, Lock, Place, Store};
use crate::ui::plan::Counts;
use crate::ui::progress::Progress;
use crate::ui::{self, summary};

/// After the first stop signal, what is in flight has this long to settle: pipelines kill after ten seconds.
const SETTLE: Duration = Duration::from_secs(4);

/// What is to be planned and run.
pub(super) struct Job {
    pub(super) workspace: Workspace,
    pub(super) variables: Vec<Given>,
    pub(super) request: Request,
    pub(super) options: RunOptions,
    /// Its name, for the lock and for messages.
    pub(super) command: &'static str,
    /// The plan that was approved elsewhere.
    pub(super) saved: Option<PlanFile>,
    /// Whether the sandbox stays up afterwards, and its first port (0: any free one).
    pub(super) serve: Option<u16>,
}

/// What stands ready before the clouds are asked.
struct Ready {
    loaded: Loaded,
    /// What is known, read under the lock.
    known: store::Loaded,
    store: Store,
}

impl Ready {
    /// What is live now.
    async fn survey(&self, mode: Mode, reach: &Reach) -> Result<Inventory, Failure> {
        survey(&self.loaded, &self.known.state, &self.known.journal, mode, &reach.router).await
    }
}

impl Job {
    /// Runs it.
    pub(super) fn run(self, context: &Context) -> Ending {
        if self.options.json {
            ui::print::result(&ui::json::version().to_string());
        }
        let ending = self.prepare(context).and_then(|(loaded, place)| {
            signals::run(async |mut signals| {
                // It is up before the run, and outlasts it and its lock: other commands can then use it.
                let kept = signals.or(reach::keep(&self.workspace, &loaded.stack, self.serve)).await?;
                let lock = place.lock(self.command, self.options.lock.lock_timeout);
                let lock = signals.or(async { Ok(lock.await?) }).await?;
                let ending = async {
                    let ready = self.open(loaded, &place, &lock).await?;
                    Box::pin(self.perform(ready, signals.clone(), context)).await
                };
                let ending = ending.await;
                lock.release().await;
                if ending.is_ok() {
                    kept.until(&mut signals).await;
                }
                kept.close().await;
                ending
            })
        });
        if let (true, Err(failure)) = (self.options.json, &ending) {
            for diagnostic in &failure.diagnostics {
                ui::print::result(&ui::json::diagnostic_event(diagnostic).to_string());
            }
        }
        ending
    }

    /// Everything that can be refused without asking anyone.
    fn prepare(&self, context: &Context) -> Result<(Loaded, Place), Failure> {
        self.require_consent(context)?;
        let loaded = match self.request.mode {
            Mode::Destroy => self.workspace.load(self.variables.clone(), context)?,
            Mode::Apply | Mode::RefreshOnly => self.workspace.load_built(self.variables.clone(), context)?,
        };
        self.workspace.prepare()?;
        let place = loaded.place(&self.workspace)?;
        Ok((loaded, place))
    }

    /// Reads what is known of the stack, now that no one else writes it.
    async fn open(&self, loaded: Loaded, place: &Place, lock: &Lock) -> Result<Ready, Failure> {
        let medium = place.medium();
        let mut known = store::load(&*medium, Some(&loaded.stack.name)).await?;
        follow(&loaded, &mut known.state, &known.journal, self.options.json);
        loaded.require(self.request.targets.iter().chain(&self.request.excludes), &known.state)?;
        let store = Store::new(medium, &loaded.stack.name, &known, lock);
        Ok(Ready { loaded, known, store })
    }

    /// Where no one can be asked, someone must have said yes before.
    fn require_consent(&self, context: &Context) -> Result<(), Failure> {
        if self.saved.is_some() || self.options.auto_approve {
            return Ok(());
        }
        if context.interactive && !self.options.json {
            return Ok(());
        }
        let plan = if self.command == "destroy" { "mcm plan --destroy" } else { "mcm plan" };
        let diagnostic = Diagnostic::error(format!("{} needs an approval, and there is no one to ask", self.command))
            .detail("this is not a terminal, or --input=false or --json is set; nothing was touched")
            .hint(format!(
                "save a plan with `{plan} --out FILE`, and run `mcm apply FILE` once it is approved; or add --auto-approve"
            ));
        Err(Failure::refused(diagnostic))
    }

    async fn perform(&self, mut ready: Ready, mut signals: Signals, context: &Context) -> Ending {
        if let (Some(notice), false) = (summary::unfinished(&ready.known.journal, true), self.options.json) {
            ui::print::notice(&notice);
        }
        let reach = signals.or(reach::open(&self.workspace, &ready.loaded.stack)).await?;
        let inventory = signals.or(Box::pin(ready.survey(self.request.mode, &reach))).await?;
        let plan = self.plan(&ready, &inventory)?;
        self.show(&plan, context);
        let diagnostics = signals.or(Box::pin(obstacles(&plan, &reach.router))).await?;
        if !diagnostics.is_empty() {
            reach.close().await;
            return Err(Failure { exit: Exit::Refused, diagnostics });
        }
        let counts = Counts::of(&plan);
        let held = summary::held(&plan);
        let released = functions::releases(&ready.loaded.stack, &plan);
        let answer = signals.or(self.ask(&plan, context)).await?;
        // A person takes time to answer; what was read before is read again.
        let inventory = match answer {
            Answer::Yes => signals.or(Box::pin(ready.survey(self.request.mode, &reach))).await?,
            Answer::Automatic | Answer::No => inventory,
        };
        let approved = engine::approve(plan, &inventory, &ready.loaded.catalogue, answer)?;
        let progress = Arc::new(progress(self.options.json, context));
        let notes = Arc::clone(&progress);
        reach.router.watch(Box::new(move |line| notes.note(line)));
        let (start, done) = (Instant::now(), AtomicUsize::new(0));
        let ran = self.apply(approved, &mut ready, &inventory, &reach, &mut signals, &progress, &done).await;
        progress.close();
        let journal = &ready.known.journal;
        let ending = self.conclude(ran?, counts, done.into_inner(), journal, start.elapsed());
        if let (Ok(_), Some(held), false) = (&ending, held, self.options.json) {
            ui::print::result(&format!("\n{held}"));
        }
        if ending.is_ok() && self.request.mode == Mode::Apply {
            let pruning =
                functions::prune(&ready.loaded.stack, &released, &ready.store, &reach.router, context);
            // What a signal keeps from being deleted now, the next release deletes.
            tokio::select! { biased; () = signals.came() => {}, () = Box::pin(pruning) => {} }
            Box::pin(self.show_outputs(&ready, &reach, &mut signals, context)).await;
        }
        reach.close().await;
        ending
    }

    /// Decides; a saved plan must come out exactly as it was.
    fn plan(&self, ready: &Ready, inventory: &Inventory) -> Result<Plan, Failure> {
        let known = (&ready.known.state, &ready.known.journal);
        let Some(saved) = &self.saved else {
            return decide(&ready.loaded, known, inventory, &self.request);
        };
        if saved.plan.stack_digest == ready.loaded.stack.digest {
            engine::approve(saved.plan.clone(), inventory, &ready.loaded.catalogue, Answer::Automatic)?;
        }
        let plan = decide(&ready.loaded, known, inventory, &self.request)?;
        saved.compare(&plan)?;
        Ok(plan)
    }

    fn show(&self, plan: &Plan, context: &Context) {
        if self.options.json {
            for line in ui::json::planned(plan) {
                ui::print::result(&line.to_string());
            }
        } else if self.saved.is_none() || plan.is_empty() {
            ui::print::result(&ui::plan::render(plan, context.out));
        }
    }

    async fn ask(&self, plan: &Plan, context: &Context) -> Result<Answer, Failure> {
        if self.options.auto_approve || self.saved.is_some() || plan.is_empty() || !context.interactive {
            return Ok(Answer::Automatic);
        }
        let question = match plan.mode {
            Mode::Apply | Mode::RefreshOnly => "\nMake these changes? Only `yes` is taken for one: ",
            Mode::Destroy => "\nDestroy all this? Only `yes` is taken for one: ",
        };
        ui::print::ask(question);
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        match answer.await {
            Ok(Ok(line)) if line.trim() == "yes" => Ok(Answer::Yes),
            Ok(Ok(_)) => Ok(Answer::No),
            Ok(Err(error)) => Err(Failure::io("the answer could not be read", &error)),
            Err(error) => Err(Failure::io("the answer could not be read", &error)),
        }
    }

    /// Runs the approved plan; the first stop signal lets what is in flight settle. Counts the steps that are done.
    #[expect(clippy::too_many_arguments, reason = "each is another room's thing, needed for this one call")]
    async fn apply(
        &self,
        approved: ApprovedPlan,
        ready: &mut Ready,
        inventory: &Inventory,
        reach: &Reach,
        signals: &mut Signals,
        progress: &Progress,
        done: &AtomicUsize,
    ) -> Result<Outcome, Failure> {
        let settings = Settings {
            parallelism: self.options.parallelism,
            rollback: !self.options.no_rollback,
            now: self.request.now,
        };
        let stop = Stop::default();
        let show = |event: Event| {
            if let Event::Finished { phase: Phase::Apply, .. } = &event {
                done.fetch_add(1, Ordering::Relaxed);
            }
            progress.show(&event);
        };
        let Ready { loaded, known, store, .. } = ready;
        let mut books = Books::new(&mut known.state, &mut known.journal, store);
        let running = engine::apply(
            approved,
            &loaded.stack,
            inventory,
            &loaded.catalogue,
            &mut books,
            &reach.router,
            settings,
            &stop,
            &show,
        );
        settle(Box::pin(running), &stop, signals, progress, self.command).await
    }

    /// What is told of a run: after a failure, what the journal knows of it.
    fn conclude(
        &self,
        outcome: Outcome,
        counts: Counts,
        done: usize,
        journal: &Journal,
        took: Duration,
    ) -> Ending {
        let again = format!("mcm {}", self.command);
        match outcome {
            Outcome::Applied { steps } => {
                let text = summary::applied(counts, took);
                if self.options.json {
                    ui::print::result(&ui::json::summary(self.command, counts, &text).to_string());
                } else if steps > 0 {
                    ui::print::result(&format!("\n{text}"));
                }
                Ok(Exit::Done)
            }
            Outcome::RolledBack { failures, undone } => Err(self.undone(Exit::Undone, &failures, undone)),
            Outcome::Stuck { failures, undone, kept } => {
                if kept.is_empty() && journal.standing().next().is_none() {
                    return Err(self.undone(Exit::Undone, &failures, undone));
                }
                let expired = failures.iter().any(|failure| failure.error.kind == ErrorKind::Credentials);
                let mut diagnostics = summary::failures(&failures);
                diagnostics.push(summary::stuck(done, undone, &kept, journal, &again));
                Err(Failure { exit: if expired { Exit::Credentials } else { Exit::Stuck }, diagnostics })
            }
            Outcome::Interrupted { phase, done, left, failures } => {
                let mut diagnostics = summary::failures(&failures);
                let back = journal.past_pivot().is_none();
                diagnostics.push(summary::interrupted(phase, done, left, &again, back));
                Err(Failure { exit: Exit::Interrupted, diagnostics })
            }
        }
    }

    /// A run that failed and left nothing behind.
    fn undone(&self, exit: Exit, failures: &[crate::model::Failure], undone: usize) -> Failure {
        let mut diagnostics = summary::failures(failures);
        let diagnostic =
            Diagnostic::error(format!("{} failed", self.command)).detail(summary::rolled_back(undone));
        diagnostics.push(diagnostic.hint(format!("mend the cause, then run `mcm {}` again", self.command)));
        Failure { exit, diagnostics }
    }

    /// What the outputs are now. The run itself is over and done: what cannot be read is only told.
    async fn show_outputs(&self, ready: &Ready, reach: &Reach, signals: &mut Signals, context: &Context) {
        if ready.loaded.stack.outputs.is_empty() {
            return;
        }
        match signals.or(Box::pin(ready.survey(Mode::RefreshOnly, reach))).await {
            Ok(inventory) => {
                let outputs = engine::outputs(&ready.loaded.stack, &inventory);
                if self.options.json {
                    let event = ui::json::outputs_event(ui::outputs::list_json(&outputs));
                    ui::print::result(&event.to_string());
                } else {
                    ui::print::result(&format!("\nOutputs:\n\n{}", ui::outputs::list(&outputs)));
                }
                self.show_here(&reach.here(&outputs));
            }
            Err(failure) if failure.exit == Exit::Interrupted => {
                let warning = Diagnostic::warning("interrupted: the outputs were not read");
                context.warn(&[warning.detail("what was applied stands").hint("`mcm output` reads them")]);
            }
            Err(failure) => context.warn(&failure.into_warnings()),
        }
    }

    /// Where the public addresses among the outputs answer, if the sandbox does.
    fn show_here(&self, here: &Here) {
        if here.addresses.is_empty() {
            return;
        }
        match (here.live, self.options.json) {
            (true, true) => ui::print::result(&ui::json::here_event(&here.addresses).to_string()),
            (true, false) => {
                ui::print::result(&format!("\nIn the sandbox:\n\n{}", ui::outputs::here(&here.addresses)));
            }
            (false, false) => ui::print::notice(
                "\nThe sandbox ends with this command. With --serve it stays up, and a browser can be pointed at it.",
            ),
            (false, true) => {}
        }
    }
}

/// How a run is watched.
pub(super) fn progress(json: bool, context: &Context) -> Progress {
    if json {
        return Progress::for_programs();
    }
    Progress::for_people(draws(), context.err)
}

/// Whether stderr can draw lines that move. A terminal that cannot move its cursor says so.
pub(super) fn draws() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !dumb
}

/// Awaits a run; the first stop signal lets what is in flight settle, within bounds.
pub(super) async fn settle(
    mut running: impl Future<Output = Result<Outcome, LedgerError>> + Unpin,
    stop: &Stop,
    signals: &mut Signals,
    progress: &Progress,
    command: &str,
) -> Result<Outcome, Failure> {
    tokio::select! {
        biased;
        outcome = &mut running => return Ok(outcome?),
        () = signals.came() => {}
    }
    stop.request();
    progress.say(&format!(
        "Stopping: no further step starts; what is in flight is awaited. Once more leaves at once; \
         either way `mcm {command}` goes on from there."
    ));
    match tokio::time::timeout(SETTLE, running).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Failure::new(
            Exit::Interrupted,
            Diagnostic::error("interrupted before everything in flight was settled")
                .detail("what was intended is recorded")
                .hint(format!(
                    "`mcm {command}` goes on from here, reading first what is true; `mcm rollback` undoes what was done, unless deletions have begun"
                )),
        )),
    }
}
