package node

// MaxManagerStuck is how many calls may be stuck.
const MaxManagerStuck = maxManagerStuck
