"""What `gateway doctor` looks at: the machine, the packages, the secrets, the stores."""
