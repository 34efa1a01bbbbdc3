"""How does srun reach the tasks of its step? One non-blocking object for the caller's selector; stdlib only.

    attachment = Attachment(url, token, cluster, key, nodes=2, window=(24, 80))
    selector.register(attachment, EVENT_READ)       fileno() may change: see `generation`
    for event in attachment.on_readable(): ...      Ready, Started, Output, OutputEnded, TaskEnded, LaunchError, NodeEnded, Message
    attachment.consumed(event)                      after an Output has been written: lets the tasks go on
    attachment.send_stdin(data, rank=ALL) -> taken  0 = the window is full: stop reading stdin until `stdin_room`
    attachment.send_stdin_eof(), send_window(rows, columns), send_signal(number)
    attachment.timeout()                            seconds until on_timer() wants to be called, or None
    attachment.ended                                every node's part is over
"""
