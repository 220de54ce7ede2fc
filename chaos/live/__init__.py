"""The live page: a world of real clients, links and servers to watch, to break and to step through.

    client stub ──► client's end ──► link (Toxiproxy) ──► server's end ──► server ──► store
         (paced)     requests dwell        (breaks)          replies dwell

The files in the order of a message: callers, paced_transport, link_ends; what they tell: messages, effect_counts,
records, journal; what moves them: pace, actions, scenes; around them: world, app, command. A run is one
journal of events, and whoever shows it folds those alone, live, looked back at or opened from a file.
"""
