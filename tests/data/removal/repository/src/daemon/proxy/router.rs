pub fn backend_of(agent: &str) -> &'static str {
    if agent == "code-reviewer" { "azure" } else { "anthropic" }
}
