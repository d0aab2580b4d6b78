// A project that imports globalchannel. Its only replace is our own module,
// whose path is not published yet: all third-party versions must work as they are.
module example.com/importer

go 1.26

require github.com/pofresh/globalchannel v0.0.0

replace github.com/pofresh/globalchannel => ../..
