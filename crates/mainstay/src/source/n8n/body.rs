//! A stored workflow as the API takes it.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the API takes of a workflow, of a node, and of settings. It refuses a workflow that has anything else.
const OF_WORKFLOW: [&str; 5] = ["name", "nodes", "connections", "settings", "staticData"];
const OF_NODE: [&str; 18] = [
    "id",
    "name",
    "webhookId",
    "disabled",
    "notesInFlow",
    "notes",
    "type",
    "typeVersion",
    "executeOnce",
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "continueOnFail",
    "onError",
    "position",
    "parameters",
    "credentials",
];
const OF_SETTINGS: [&str; 12] = [
    "saveExecutionProgress",
    "saveManualExecutions",
    "saveDataErrorExecution",
    "saveDataSuccessExecution",
    "executionTimeout",
    "errorWorkflow",
    "timezone",
    "executionOrder",
    "callerPolicy",
    "callerIds",
    "timeSavedPerExecution",
    "availableInMCP",
];
/// What n8n writes by itself.
const MADE_AGAIN: [&str; 13] = [
    "id",
    "active",
    "createdAt",
    "updatedAt",
    "versionId",
    "activeVersionId",
    "activeVersion",
    "versionCounter",
    "triggerCount",
    "tags",
    "shared",
    "parentFolder",
    "homeProject",
];

/// What is sent for a workflow.
#[derive(Debug)]
pub struct Body {
    /// As the API takes it.
    pub json: Value,
    /// What it does not take: the names.
    pub left_out: Vec<String>,
}

impl Body {
    /// Of a workflow as it is stored. One that is active becomes what ran, not what somebody was working on.
    pub fn of(stored: &Value) -> Self {
        let mut workflow = stored.as_object().cloned().unwrap_or_default();
        let mut left_out = Vec::new();
        let published = &stored["activeVersion"];
        if stored["active"] == true && published["nodes"].is_array() && stored["versionId"] != published["versionId"] {
            for field in ["nodes", "connections"] {
                workflow.insert(field.to_owned(), published[field].clone());
            }
            left_out.push("changes that were not published".to_owned());
        }
        let mut keep = |fields: &mut Map<String, Value>, taken: &[&str], silent: &[&str]| {
            fields.retain(|name, value| {
                let is_taken = taken.contains(&name.as_str());
                if !is_taken && !silent.contains(&name.as_str()) && !says_nothing(value) && !left_out.contains(name) {
                    left_out.push(name.clone());
                }
                // Not every field that may be missing may be null.
                is_taken && !value.is_null()
            });
        };
        keep(&mut workflow, &OF_WORKFLOW, &MADE_AGAIN);
        let settings = workflow.entry("settings").or_insert_with(|| Value::Object(Map::new()));
        if let Some(settings) = settings.as_object_mut() {
            keep(settings, &OF_SETTINGS, &[]);
        }
        let nodes = workflow.get_mut("nodes").and_then(Value::as_array_mut);
        for node in nodes.into_iter().flatten().filter_map(Value::as_object_mut) {
            keep(node, &OF_NODE, &["createdAt", "updatedAt"]);
        }
        Self {
            json: Value::Object(workflow),
            left_out,
        }
    }

    /// Have it call other workflows by their new ids; whether it called any that has one.
    pub fn rename(&mut self, ids: &BTreeMap<String, String>) -> bool {
        let mut renamed = false;
        let mut set = |value: &mut Value| {
            let Some(text) = value.as_str() else { return };
            let new: Vec<&str> = text
                .split(',')
                .map(|id| ids.get(id.trim()).map_or(id, String::as_str))
                .collect();
            let new = new.join(",");
            if new != text {
                *value = Value::from(new);
                renamed = true;
            }
        };
        for name in ["errorWorkflow", "callerIds"] {
            if let Some(value) = self.json.pointer_mut(&format!("/settings/{name}")) {
                set(value);
            }
        }
        let nodes = self.json.get_mut("nodes").and_then(Value::as_array_mut);
        for node in nodes.into_iter().flatten() {
            match node.pointer_mut("/parameters/workflowId") {
                Some(Value::Object(chosen)) => chosen.get_mut("value").into_iter().for_each(&mut set),
                Some(value) => set(value),
                None => {}
            }
        }
        renamed
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_does_not_take_is_left_out_and_named() {
        let stored = json!({
            "id": "a", "active": false, "name": "n", "connections": {}, "description": "why", "meta": {}, "pinData": null,
            "nodes": [{"name": "x", "parameters": {"k": 1}, "rewireOutputLogTo": "y"}], "settings": {"timezone": "UTC", "odd": 1},
        });
        let body = Body::of(&stored);
        let expected = json!({
            "name": "n", "connections": {}, "nodes": [{"name": "x", "parameters": {"k": 1}}], "settings": {"timezone": "UTC"},
        });
        assert_eq!(body.json, expected);
        assert_eq!(body.left_out, ["description", "odd", "rewireOutputLogTo"]);
    }

    #[test]
    fn an_active_workflow_becomes_what_ran() {
        let mut stored = json!({
            "active": true, "versionId": "2", "name": "n", "connections": {}, "nodes": [{"name": "draft"}],
            "activeVersion": {"versionId": "1", "nodes": [{"name": "ran"}], "connections": {"ran": {}}},
        });
        let body = Body::of(&stored);
        assert_eq!(
            (&body.json["nodes"][0]["name"], &body.json["connections"]),
            (&json!("ran"), &json!({"ran": {}}))
        );
        assert_eq!(body.left_out, ["changes that were not published"]);
        stored["versionId"] = json!("1");
        assert_eq!(Body::of(&stored).json["nodes"][0]["name"], "draft");
    }

    #[test]
    fn calls_of_other_workflows_follow_them() {
        let stored = json!({
            "settings": {"errorWorkflow": "1", "callerIds": "1, 9"},
            "nodes": [
                {"parameters": {"workflowId": "1", "other": "1"}},
                {"parameters": {"workflowId": {"value": "1", "mode": "list"}}},
                {"parameters": {"workflowId": "9"}},
            ],
        });
        let mut body = Body::of(&stored);
        let ids = BTreeMap::from([("1".to_owned(), "new".to_owned())]);
        assert!(body.rename(&ids));
        assert_eq!(
            body.json["settings"],
            json!({"errorWorkflow": "new", "callerIds": "new, 9"})
        );
        let called = [
            "/nodes/0/parameters/workflowId",
            "/nodes/1/parameters/workflowId/value",
            "/nodes/2/parameters/workflowId",
        ];
        assert_eq!(
            called.map(|at| body.json.pointer(at).unwrap().as_str().unwrap()),
            ["new", "new", "9"]
        );
        assert_eq!(body.json.pointer("/nodes/0/parameters/other"), Some(&json!("1")));
        assert!(!body.rename(&ids));
    }
}
