"""What keeps sessions at their desired state: admission, reconciling, hung processes, drain."""
