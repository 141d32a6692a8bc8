mod commands;
mod daemon;

fn main() {}
