# A thin menu. The logic is in xtask and in the tests, where it is typed and tested.

.DEFAULT_GOAL := help
.PHONY: help demo test

help: ## Show this menu
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, start an emulated cloud, and see the main job done (about two minutes after the build)
	cargo xtask demo

test: ## Run every test: unit, golden, scenario, and end to end against emulators
	cargo test --workspace
