"""Generated sentences and facts: true to their marks, the same for a seed, apart between splits."""

from models.transforms.tags import strict_entities, to_bio
from training.data.entity_sentences import load_entity_sentences
from training.data.question_facts import load_question_facts


def test_sentences_follow_from_the_seed_and_are_all_different() -> None:
    one, same, other = (load_entity_sentences(seed, 60, 10, 20) for seed in (3, 3, 4))
    assert one.sha256() == same.sha256() != other.sha256()
    assert (len(set(one.train)), len(set(one.validation)), len(set(one.test))) == (60, 10, 20)
    assert one.labels == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")


def test_tags_are_bio_and_no_surname_of_held_out_people_was_learned() -> None:
    data = load_entity_sentences(0, 400, 20, 200)
    surnames = []
    for split in (data.train, data.test):
        assert all(to_bio(sentence.tags) == list(sentence.tags) for sentence in split)
        surnames.append(
            {
                sentence.words[span.end - 1]
                for sentence in split
                for span in strict_entities(sentence.tags)
                if span.type == "PER"
            }
        )
    assert surnames[0]
    assert surnames[1]
    assert not surnames[0] & surnames[1]


def test_facts_hold_their_answers_and_some_questions_have_none() -> None:
    data = load_question_facts(1, 200, 20, 40, 0.25)
    assert data.sha256() == load_question_facts(1, 200, 20, 40, 0.25).sha256()
    without = sum(not question.answers for question in data.train)
    assert 25 < without < 75
    for question in data.train:
        for text in question.texts:
            assert text.strip() == text != ""
            assert text not in question.question
    assert not load_question_facts(1, 50, 5, 5, 0.0).may_have_no_answer
