"""How an answer to a checkable question is judged: declarative, objective, free of any model."""

from agents.checks.question import Check, Question, Verdict, judge, load_questions, parse_question

__all__ = ["Check", "Question", "Verdict", "judge", "load_questions", "parse_question"]
