//! Every property of every AWS type, changed in turn, where others play AWS.

use mcm::model::*;
use serde::Deserialize;
use serde_yaml::{Mapping, Value as Yaml};

use super::road::{Road, told_edits};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(rename = "type")]
    pub ty: String,
    pub resources: Mapping,
    pub changes: Vec<Turn>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    at: String,
    to: Yaml,
    #[serde(default)]
    with: Mapping,
    is: String,
    /// The property that differs, where it is another one.
    #[serde(default)]
    shows: Option<String>,
}

/// The project's own table of properties, and more of what AWS alone has.
pub fn cases() -> Vec<Case> {
    let tables = [include_str!("../golden/properties.yaml"), include_str!("turns.yaml")];
    let cases = tables.iter().flat_map(|table| {
        let cases: Yaml = serde_yaml::from_str(table).unwrap();
        serde_yaml::from_value::<Vec<Case>>(cases).unwrap()
    });
    cases.filter(|case| ResourceType::new(&case.ty).cloud() == Cloud::Aws).collect()
}

/// Where an emulator is not AWS: the type, the property (after ` -> ` only where its new value contains this), and
/// what is wrong, with the source of the fact.
pub type Exception = (&'static str, &'static str, &'static str);

fn excepted(exceptions: &[Exception], case: &Case, turn: &Turn) -> bool {
    let to = serde_json::to_string(&turn.to).unwrap();
    exceptions.iter().any(|(ty, at, _)| {
        let (at, part) = at.split_once(" -> ").unwrap_or((at, ""));
        *ty == case.ty && at == turn.at && to.contains(part)
    })
}

/// Applies a case, changes one property after the other, destroys it, and applies it again.
pub async fn drive(road: &mut Road, who: &str, case: &Case, exceptions: &[Exception]) {
    let mut resources = case.resources.clone();
    resources["x"].as_mapping_mut().unwrap().insert("type".into(), case.ty.clone().into());
    let stack = road.stack(&resources);
    road.must(&stack, Mode::Apply, &format!("{who}: {} is made", case.ty)).await;
    for turn in &case.changes {
        let told = format!("{who}: {} {} -> {:?}", case.ty, turn.at, turn.to);
        // Places within a property are turned in our own sandbox; here whole documents are, see `turns.yaml`.
        if turn.at.contains(['.', '[']) || excepted(exceptions, case, turn) {
            continue;
        }
        for (property, value) in turn.with.iter().chain([(&Yaml::from(turn.at.clone()), &turn.to)]) {
            let properties = resources["x"]["properties"].as_mapping_mut().unwrap();
            if value.is_null() {
                properties.remove(property);
            } else {
                properties.insert(property.clone(), value.clone());
            }
        }
        let stack = road.stack(&resources);
        let (plan, _) = road.plan(&stack, Mode::Apply).await;
        let change = plan.change(&Address::resource("x")).unwrap();
        assert_eq!(change.action.symbol(), turn.is, "{told}: {:#?}", told_edits(change));
        // A replacement is compared with what is at the old identity, of which the stack no longer says anything.
        let shows = turn.shows.as_deref().unwrap_or(&turn.at);
        let expected = |name: &str| turn.is != "~" || name == shows || turn.with.contains_key(name);
        let elsewhere = change.edits.iter().find(|edit| !expected(edit.path.property()));
        assert!(elsewhere.is_none(), "{told}: more than that differs: {elsewhere:#?}");
        road.must(&stack, Mode::Apply, &told).await;
    }
    let stack = road.stack(&resources);
    road.must(&stack, Mode::Destroy, &format!("{who}: {} is destroyed", case.ty)).await;
    assert!(road.state.resources.is_empty());
    road.must(&stack, Mode::Apply, &format!("{who}: {} is made again", case.ty)).await;
    road.must(&stack, Mode::Destroy, &format!("{who}: {} is destroyed again", case.ty)).await;
}
