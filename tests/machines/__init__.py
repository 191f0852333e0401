"""A cluster of many machines on one: namespaces with their own addresses, process ids, temporary
folders and boot ids, on a bridge that forwards nothing; and faults of the network between them."""
