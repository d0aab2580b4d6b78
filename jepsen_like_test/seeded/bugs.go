package seeded

// Bugs are all there are.
var Bugs = []Bug{
	noEpochCheck,
	noDedupe,
	mapOrder,
	endWithoutEpoch,
	fencedBatchAgain,
	lifeReadded,
	earlyAnswer,
	localRead,
	snapshotWithoutDedupe,
	snapshotWithoutParked,
	wipedVoter,
	pushWithoutID,
	carriedIsRejected,
	goodbyeToAll,
	lateLeave,
	neverAsked,
}
