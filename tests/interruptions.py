"""Runs that are interrupted at a pair of videos of one's choice."""

import lactoolkit.alignment.many


def interrupt_at(monkeypatch, number, interruption=KeyboardInterrupt):
    """Let the alignment of pair ``number``, if any, counted from 0, be interrupted; gives the list of pairs begun."""
    begun = []
    align_videos = lactoolkit.alignment.many.align_videos

    def counted(a, b, **options):
        begun.append((a, b))
        if len(begun) - 1 == number:
            raise interruption
        return align_videos(a, b, **options)

    monkeypatch.setattr(lactoolkit.alignment.many, "align_videos", counted)
    return begun
