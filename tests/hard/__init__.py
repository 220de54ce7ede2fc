"""Hard to hurt: clocks that lie and callers that mean no good. A server has to serve the honest ones all the while."""
