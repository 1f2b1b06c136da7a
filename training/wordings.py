"""What the demo model is asked in text, as data: lines like `(what is|how much is) <a> plus <b>`.

They are written in full (`what is`, `colour`, `you`); `training.dialogue` shortens them now and then as people do.
"""

PREFIXES = (
    "hey|hey Omni|Omni|so|now|well|ok|okay|um|uh|hmm|oh|and|excuse me|sorry|hello|hi|hey there|hi there|hi Omni",
    "hello Omni|hello there|ok Omni|alright|quick question|a quick question|one question|one more question|question",
    "one more thing|next question|I have a question|just a question|just for fun|a test|let me test you|here is one",
    "I am (bored|curious|confused|stuck|tired|new here|just curious|learning English)|good morning|my friend|listen",
    "hi, (I am|my name is) (Ben|Kate)|hello, (this is|I am) (Paul|Maria)|hey, Ben here|I forgot|help me out|I need "
    "help|help|thanks",
    "my (son|daughter|teacher|friend) wants to know|this may be a silly question|silly question|ok so|so Omni|yo",
    "easy one|I bet you know this|let us see|let us try this|can I ask you something|may I ask|look|hi again|oh hey",
)
"""Before anything."""
PREFIXES_OF_COMMANDS = (
    "please|can you|can you please|could you|could you please|would you|would you please|will you|will you please",
    "I want you to|I would like you to|I need you to|kindly|go ahead and|just|now please|Omni, please|hey, can you",
    "hey, could you|can you try to|would you mind and|do me a favour and|hi, can you|hello, could you|ok, now|try to",
    "please can you|please could you|are you able to|I would love it if you could|you should|let me hear you",
)
PREFIXES_OF_QUESTIONS = (
    "please|tell me|can you tell me|please tell me|could you tell me|would you tell me|do you know|do you happen to "
    "know",
    "could you please tell me|can you please tell me|I would like to know|I want to know|I wonder|I was wondering",
    "I need to know|I am wondering|any idea|do you remember|just tell me|hey, tell me|ok, tell me|let me ask you",
    "my question is|I would like to ask|help me, please|quickly tell me|may I know|remind me|just wondering",
)
SUFFIXES = (
    "please|Omni|now|my friend|please Omni|then|if you can|for me|thanks|thank you|do you know|can you tell me",
    "I wonder|I forgot|quickly|for me please|if you do not mind|by the way|you know|mate|dear|buddy|if I may ask",
)

INFORMAL = {
    "what's": "what is",
    "whats": "what is",
    "who's": "who is",
    "whos": "who is",
    "how's": "how is",
    "hows": "how is",
    "where's": "where is",
    "wheres": "where is",
    "when's": "when is",
    "i'm": "i am",
    "im": "i am",
    "it's": "it is",
    "that's": "that is",
    "thats": "that is",
    "you're": "you are",
    "youre": "you are",
    "don't": "do not",
    "dont": "do not",
    "didn't": "did not",
    "didnt": "did not",
    "doesn't": "does not",
    "doesnt": "does not",
    "isn't": "is not",
    "isnt": "is not",
    "i'd": "i would",
    "id": "i would",
    "let's": "let us",
    "lets": "let us",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "have to",
    "u": "you",
    "ur": "your",
    "pls": "please",
    "plz": "please",
    "thx": "thanks",
    "color": "colour",
    "colors": "colours",
    "favor": "favour",
}
"""How words are written in haste or in America -> how the lines have them."""

COMMON = frozenset(
    wording
    for line in (
        "hello|hi|hey|hi there|hello there|good morning|good evening|good night|goodbye|bye|bye bye|see you",
        "see you later|thank you|thanks|thank you very much|thanks a lot|how are you|how are you today",
        "how are you doing|what is up|what is your name|who are you|tell me your name|what are you called",
        "do you have a name|introduce yourself|say your name|what should I call you|may I know your name",
        "count to <b>|count up to <b>|count from <a> to <b>|count from one to <b>|count down from <b>",
        "count backwards from <b>|count down from <a> to <b>|count backwards from <a> to <b>",
        "count down from <b> to one|count backwards from <b> to one|what is <a> plus <b>|what is <n> + <m>",
        "<a> plus <b>|<n> + <m>|<n>+<m>|add <a> and <b>|add <a> to <b>|what is the sum of <a> and <b>",
        "how much is <a> plus <b>|what is <n>+<m>|what is <a> and <b>|what <kind> comes after <a>",
        "what <kind> comes before <a>|which <kind> comes after <a>|which <kind> comes before <a>",
        "what comes after <a>|what comes before <a>|what is after <a>|what is before <a>",
        "what is the <kind> after <a>|what is the <kind> before <a>|what <kind> is after <a>",
        "what <kind> is before <a>|what is the next <kind> after <a>|what <kind> follows <a>",
        "how many days are in a week|how many days are there in a week|how many months are in a year",
        "how many months are there in a year|what is the opposite of <a>|opposite of <a>|the opposite of <a>",
        "tell me the opposite of <a>|is <a> more than <b>|is <a> bigger than <b>|is <a> greater than <b>",
        "is <a> larger than <b>|is <a> higher than <b>|repeat after me: <a>|say <a>|repeat <a>|please say <a>",
        "can you say <a>|repeat: <a>|say: <a>|please repeat <a>|say the word <a>|say the words <a>",
        "say after me: <a>|repeat the words <a>|can you repeat <a>|what is <a>|who is <a>|where is <a>",
        "tell me about <a>|what time is it|how old are you|what is <n> minus <m>|what is <n> times <m>",
        "what is the weather like|tell me a joke|what is the capital of <a>|what day is it today",
        "what colour is it|what colour is this|what is the colour|what colour are they|what colour do you see",
        "what shape is it|what shape is this|what is the shape|what shapes are they|what shape do you see",
        "how many are there|how many do you see|how many objects are there|how many things are there",
        "how many can you see|what do you see|what is this|what is in the picture|what can you see",
        "describe the picture|describe the image|what is in the image|what happens|what changes",
        "what happens in the video|what is happening|does the colour change|describe the video|what did I say",
        "what do you hear|what did you hear|what can you hear",
    )
    for wording in line.split("|")
)
"""The wordings that come to mind first; they are never held out."""

GREETINGS = (
    (
        (
            "(hello|hi|hey) (Omni|there|you|my friend|)",
            "(hello|hi) hello",
            "(hello|hi) dear Omni",
            "(hello|hi|hey) (again|everyone|dear friend|you there|to you|everybody|buddy|mate|folks|pal|friend)",
            "(hiya|howdy|yo|greetings|heya|hullo|hallo|hello hello|hey hey|hi hi|ahoy|salutations|helloo|hii) (Omni|"
            "there|)",
            "(nice|good|great|pleased|lovely|glad) to (meet you|see you|see you again|be here) (Omni|)",
            "(hello|hi|hey), (nice|good) to (meet|see) you",
            "(hello|hi|hey), (I am|my name is|this is) (Tom|Anna|Sam|Maria|Ben)",
            "(good afternoon|good day|a good afternoon|welcome|welcome back) (Omni|to you|my friend|)",
            "(hello|hi|hey|hello there) (anybody there|is anyone there|are you there|can you hear me)",
            "(say hi|I just wanted to say hello|just saying hi|just dropping by to say hello|I say hello to you)",
            "(hello|hi) (from me|from Tom|from all of us|old friend|computer|robot|little model|world)",
            "(it is me again|I am back|here I am again|long time no see|look who is here)",
            "(well|oh|ah|ok) (hello|hi|hello there|hi there)",
        ),
        "Hello.",
    ),
    (
        (
            "(good morning|a good morning|a very good morning) (Omni|to you|my friend|dear friend|)",
            "(morning|good morning everyone|good morning there|top of the morning|top of the morning to you|mornin)",
            "(hello|hi|hey|oh) (good morning|and good morning) (Omni|)",
            "(I wish you|have|wishing you) a (good|nice|lovely|wonderful) morning",
            "(good morning|morning) (sunshine|everybody|mate|Omni, I just woke up|all|dear|sir|to everyone)",
        ),
        "Good morning.",
    ),
    (
        (
            "(good evening|a good evening|a very good evening) (Omni|to you|my friend|dear friend|)",
            "(evening|good evening everyone|good evening there|evening all|evening everyone|evening Omni)",
            "(hello|hi|hey|oh) (good evening|and good evening) (Omni|)",
            "(I wish you|wishing you|have) a (good|nice|lovely|pleasant) evening",
            "(good evening|evening) (everybody|mate|all|dear|sir|to everyone|to all of you)",
        ),
        "Good evening.",
    ),
    (
        (
            "(good night|a good night|a very good night) (Omni|to you|my friend|dear friend|)",
            "(night|night night|nighty night|goodnight|sleep well|sleep tight|sweet dreams) (Omni|my friend|)",
            "(I am going to bed|I am off to bed|time for bed|bedtime for me|I am going to sleep), good night",
            "(I am going to bed|I am off to bed|time for bed|I am going to sleep) now",
            "(good night|night) (and sleep well|and sweet dreams|and see you tomorrow|everyone|all|mate|then|dear)",
            "(I wish you|have) a (good|restful|peaceful) night",
        ),
        "Good night.",
    ),
    (
        (
            "(goodbye|bye|bye bye|see you|see you later|see you soon) (Omni|my friend|now|)",
            "(see ya|cya|cheerio|so long|farewell|ciao|later|laters|goodbye then|bye for now|ta-ta|good bye) (Omni|)",
            "(take care|have a nice day|have a good day|have a good one|all the best|stay well|keep well) (Omni|)",
            "(talk to you|speak to you|catch you|see you|I will see you|I will talk to you) (later|soon|tomorrow|"
            "again soon)",
            "I (have to|must|need to|should|had better) (go|leave|run|be going|get going) (now|)",
            "(ok|well|alright), (goodbye|bye|bye for now|see you|I have to go|I am off)",
            "(I am leaving|I am off|I am going now|I am heading out|time to go|that is all for today|until next time)",
            "(until tomorrow|see you around|see you next time|see you tomorrow|I am done for today|we will talk soon)",
            "(goodbye|bye), (take care|see you|see you later|have a nice day|talk to you later|I have to go|everyone)",
            "(thanks|thank you) and (goodbye|bye)",
        ),
        "Goodbye.",
    ),
    (
        (
            "(thank you|thanks|many thanks|thank you very much) (Omni|my friend|for that|)",
            "(thank you|thanks) (so much|again|a lot|very much indeed) (Omni|my friend|for that|)",
            "(thanks a million|thanks a bunch|thanks a ton|cheers|ta|much appreciated|thx|much obliged|big thanks) "
            "(Omni|mate|)",
            "(thank you|thanks) for (your help|helping|helping me|the help|everything|the answer|your time|all your "
            "help)",
            "(I appreciate it|I really appreciate it|I am grateful|I am very grateful|I owe you one|I appreciate "
            "your help)",
            "(you have been|you are|that was|that is) (very|so|really|) (helpful|kind)",
            "(that helped|that helped a lot|that was a great help|you helped me a lot|how kind of you|that is nice "
            "of you)",
            "(great|perfect|ok|wonderful|cool|awesome|nice), (thank you|thanks|thanks a lot|cheers)",
            "(I thank you|I want to thank you|thanks ever so much|thank you kindly|a thousand thanks|my thanks to you)",
        ),
        "You are welcome.",
    ),
    (
        (
            "(how are you|how do you feel|are you well|are you fine) (today|now|Omni|)",
            "(hello|hi) how are you (Omni|)",
            "(hello|hi|hey) (Omni|there|you|my friend|) (how are you|are you well) (today|)",
            "(how are you|how have you been|how are you feeling|how are you keeping) (doing|lately|these days|this "
            "morning|)",
            "how is (it going|everything|life|life treating you|your day|your day going|everything going) (Omni|"
            "today|)",
            "how (are things|are things going|goes it|do you do|you doing|have things been|was your day) (Omni|)",
            "(what is up|sup|what is new|how is it hanging|what is going on with you|how is tricks) (Omni|buddy|)",
            "(you|are you) (ok|okay|alright|all right|good|doing well|feeling well|feeling good) (today|)",
            "(is everything|everything) (alright|ok|fine|good|going well) (with you|)",
            "(hi|hey|hello), (how is it going|what is up|how are things|how are you doing|you ok|how have you been)",
            "(good morning|good evening), how are you (today|)",
            "(I hope you are well|I hope you are fine|I hope you are doing well|hope you are well|feeling well)",
            "(I am fine|I am good|I am well|I am ok|fine), (and you|how are you|and how are you|how about you)",
        ),
        "I am fine, thank you.",
    ),
)

NAME_QUESTIONS = (
    "(what is|tell me|say) your name",
    "who (are you|am I talking to|is this|is speaking|is here|is there|is that|is talking|speaks to me)",
    "(whose voice is this|who is this voice|who is this speaking)",
    "what (are you called|should I call you|can I call you|do I call you|do they call you)",
    "(do you have|have you) a name",
    "how (are you called|do I call you)",
    "(may|can) I (know|have|ask) your name",
    "what name (do you have|have you)",
    "(introduce|identify) yourself (to me|)",
    "(and you are|you are|and who are you|and you are called|who might you be|who would you be|who exactly are you)",
    "(your name|name|the name|your name again|and your name|and your name is|your name is)",
    "what do (people|your friends|others|folks|we|you want people to|users) call you",
    "(state|give me|give|share|reveal|spell out|write|show me|remind me of|let me know|let me hear) your name",
    "(I did not catch|I did not get|I forgot|I do not know|I have forgotten|I missed|I would like to know) your name",
    "what (was|is) your name again",
    "my name is (Tom|Anna|Sam), (what is yours|and yours|what is your name|and you|who are you)",
    "(I am|this is) (Tom|Anna|Sam), (and you are|who are you|what is your name|what are you called|and what is yours)",
    "(hi|hello|hey), (who are you|what is your name|who is this|who am I speaking to|what should I call you)",
    "who (am I speaking to|am I speaking with|am I chatting with|am I talking with|am I dealing with|do I talk to)",
    "with whom am I (speaking|talking)",
    "(by|under) what name (are you known|do you go|should I know you|can I call you)",
    "what name (do you go by|were you given|should I use for you|did they give you|do you use|shall I call you|are "
    "you known by)",
    "what (may I|shall I|must I|would you like me to|do you want me to|would you have me|are we to) call you",
    "(what|how) (would|do) you like to be called",
    "does (this assistant|this model|this robot|the bot|this thing) have a name",
    "what is (this assistant|this model|this robot|this bot|the bot|the assistant) called",
    "what is the name of (this assistant|this model|this robot|this bot|the bot)",
    "(what|how) (do|shall|should|can|may) I (address|call) you",
    "(do you go by any name|got a name|have you got a name|do you have any name|is there a name for you|were you "
    "given a name)",
    "(tell me|say|explain) (who you are|what you are called|what your name is|who I am talking to|what to call you)",
    "(can|could|may|might) I (get|learn|hear|know) your name",
    "(could|can|would|will) you (introduce yourself|tell me your name|say your name|give me your name|identify "
    "yourself)",
    "(I would like|I want) to know (who you are|what you are called|what your name is|who I am talking to)",
    "(say|tell me) (your name out loud|who is speaking|who is talking|your own name|your full name|your first name)",
    "what is your (full name|first name|own name|nickname|real name)",
    "(we have not been introduced|I do not think we have met|have we met), (who are you|what is your name)",
    "(are you Siri or who are you|you are who|who is it|who goes there|who have I got here|call yourself what)",
)

_COUNT = "(count|please count|can you count|start to count|you count|let us count)"
_LIST = "(say|tell me|name|list)"
_RECITE = "(recite|give me|write|write out|read out|show me|I want to hear|let me hear|count|print|enumerate)"
COUNT_UP = (
    f"{_COUNT} (to|up to|until|as far as) <b>",
    f"{_LIST} the numbers (to|up to|until) <b>",
    f"{_LIST} the first <b> numbers",
    "count the numbers (to|up to) <b>",
    "count (for me|out loud|aloud|slowly|upwards|with me|it out) (to|up to|till) <b>",
    "(start counting|begin counting|start to count|go on counting) (and stop at|up to|until you reach) <b>",
    f"{_RECITE} the numbers (to|up to|till) <b>",
    f"{_RECITE} (the first <b> numbers|all the numbers up to <b>|every number up to <b>)",
    "(count|go|numbers|list numbers|say numbers|all numbers) (from one|from 1|starting at one) (to|up to|until) <b>",
    "count (till|through|all the way to|all the way up to|on to|right up to) <b>",
    "(do you know how to|are you able to|do you think you can|how do you|I bet you cannot|teach me to|help me) count "
    "to <b>",
    "(could|would|will) you count (to|up to|all the way to) <b>",
    "(one to|1 to|from one to|from 1 to) <b>",
    "(1|one) (to|through|up to) <b>",
    "(numbers|the numbers|all the numbers|counting) (1|one) (to|through) <b>",
    "count to <b> (for me|out loud|aloud|starting at one|starting from one|from one|slowly|one by one|with me|and "
    "stop)",
    "(what are|which are) the (first <b> numbers|numbers from one to <b>|numbers up to <b>|numbers from 1 to <b>)",
    "(I want you to|I would like you to|I need you to|try to|you should) count (to|up to) <b>",
    "(how do you count|how does one count|how would you count|how do I count) (to|up to) <b>",
    "(count it out|keep going|go), (one, two, up to|one to|from one to) <b>",
    "(count|count up|count for me) from (one|1) to <b>",
    "(my|the) (kid|son|daughter|little one|class) wants to (hear you count|count|count with you) to <b>",
    "(do a count|make a count|a count|we need a count) (to|up to|from one to) <b>",
)
COUNT_BETWEEN = (
    f"{_COUNT} from <a> (to|up to|until) <b>",
    f"{_LIST} the numbers from <a> (to|up to|until) <b>",
    "count the numbers from <a> (to|up to) <b>",
    "(count|start counting|begin counting|start|begin) (at|with|from) <a> and (end|stop|finish) (at|with) <b>",
    "(starting|beginning) (from|at|with) <a>, count (to|up to|until) <b>",
    "count (to|up to|until) <b> (starting|beginning) (from|at|with) <a>",
    "count (up|on|out loud|for me|forwards|upwards) from <a> (to|until|till) <b>",
    "count <a> (to|through|up to|till) <b>",
    "(numbers|list numbers|give me numbers|the numbers|list the numbers|say the numbers) <a> (to|through) <b>",
    "<a> (to|through|up to) <b>",
    "(from|counting from|go from|numbers from|all numbers from|count me from) <a> (to|up to|until) <b>",
    f"{_RECITE} (the|all the|all) numbers from <a> (to|through) <b>",
    "(could|would|will) you count from <a> (to|up to|till) <b>",
    "(what are|what is) (the|all the) numbers from <a> (to|through|up to) <b>",
    "count (all the way|onwards|along) from <a> (to|up to) <b>",
    "(do|how about|let me hear) the numbers <a> (to|through|up to) <b>",
    "(I want you to|I would like you to|try to|are you able to|do you know how to) count from <a> (to|up to) <b>",
    "count from <a> and (do not stop until|stop when you reach|go on to|continue to|end at|go up to) <b>",
)
COUNT_DOWN = (
    "(count|please count|can you count|let us count) (down|back|backwards) from <b> (to one|)",
    "(start|begin|do|give me|let us do|let us hear|I want|make|we need) (a|the) countdown from <b> (to one|)",
    "(countdown|counting down|counting backwards|backwards|reverse count|going down) from <b> (to one|to 1|)",
    "count (down|backwards|in reverse) (starting at|starting from|starting with|beginning at|beginning with) <b>",
    "(could|would|will) you count (down|backwards|back) from <b>",
    "count (in reverse|down to one|backwards to one|downwards|backward|in reverse order) from <b>",
    "(start|begin) (at|with|from) <b> and count (down|backwards|back|down to one|backwards to one|back to one)",
    "(from|starting at|starting from|beginning with) <b>, count (down|backwards|down to one|back to one|backwards to "
    "one)",
    f"{_RECITE} the numbers (backwards|in reverse|down) from <b>",
    "count from <b> (down to one|back to one|backwards|down|to one|to 1|down to 1|in reverse)",
    "(a rocket is starting|for the rocket|we are launching), count down from <b>",
    "<b> (down to one|down to 1|to one backwards|back to one)",
    "(do you know how to|are you able to|how do you|I would like you to|try to) count (down|backwards) from <b>",
    "count down from <b> (for me|out loud|aloud|slowly|until you reach one|to liftoff)",
)
COUNT_DOWN_BETWEEN = (
    "(count|please count|can you count|let us count) (down|back|backwards) from <a> to <b>",
    "(count|please count|can you count|let us count) from <a> (to|down to|back to|backwards to) <b>",
    "(numbers|the numbers|list the numbers|say the numbers|give me the numbers) from <a> (down to|back to) <b>",
    "<a> (down to|back to|backwards to) <b>",
    "(from|go from|starting from|start at|begin at) <a> (down to|back to|and count down to|and count backwards to) <b>",
    "count (down|backwards|back) (starting at|starting from|beginning with) <a> and (stop at|end at|ending with) <b>",
    "(could|would|will) you count (down|backwards) from <a> to <b>",
    "(a|do a|give me a|start a) countdown from <a> to <b>",
    "count (in reverse|downwards|backward|in reverse order) from <a> to <b>",
    "count (down|backwards) from <a> (until|till|and stop at|as far as) <b>",
)

ADD = (
    "(what is|how much is|what makes|calculate|tell me|say|what do you get for|) <a> plus <b>",
    "(what is|how much is|what makes) <a> and <b> (together|added|in all)",
    "(what is|how much is|calculate|tell me|find|give me|) the sum of <a> and <b>",
    "(add|please add|can you add|what do you get if you add|what do I get when I add|add up) <a> and <b>",
    "(add|please add|can you add|what do you get if you add|what do I get when I add) <a> to <b>",
    "how much (does <a> plus <b> make|do <a> and <b> make|are <a> and <b>)",
    "what (does <a> plus <b> make|do <a> and <b> make|does <a> plus <b> equal)",
    "(what is|how much is|) <n> + <m>",
    "(what is|how much is|solve|calculate|compute|find|do|) <n>+<m>",
    "<n> + <m> (=|is|is what|equals|makes|gives|is how much|makes what)",
    "(solve|calculate|compute|work out|do the sum|evaluate|find|answer this:|how much does) <n> + <m>",
    "(what is|what would be|find|calculate|give me|tell me|) the (total|result|answer) of <a> (and|plus) <b>",
    "(what is|find|calculate|compute|work out|I need|I want|what would be) (the sum of|the total of|the sum) <a> and "
    "<b>",
    "(add|sum|add up|sum up|put together|combine|add together|total up|total) <a> and <b>",
    "(add|sum|put|combine) <a> and <b> (together|up|for me|and tell me the result|and give me the total)",
    "what (is|do you get for|do I get for|comes out of|would be) <a> and <b> (added together|put together|combined)",
    "<a> (plus|and) <b> (make|makes|is|equals|equals what|makes what|is what|is how much|gives what|comes to|gives)",
    "<a> added to <b> (is|equals|makes|is what|)",
    "(what is|how much is|calculate|compute|tell me) <a> added to <b>",
    "what (does <a> added to <b> make|would <a> plus <b> be|does <a> plus <b> come to|does <a> plus <b> give)",
    "what (do|would|will) <a> and <b> (add up to|come to|give|sum to|total|equal|be together)",
    "how much (is|would be|will be|makes) <a> and <b>",
    "what is <a> and <b>",
    "(what do|what will|what would) (you|I|we) get (if|when) (you|I|we) (add|put together|sum) <a> and <b>",
    "(if|when) (you|I|we) add <a> and <b>, (what do you get|what is the result|how much is it|what is it)",
    "(if|when) (you|I|we) add <a> to <b>, (what do you get|what is the result|how much is it|what comes out)",
    "(I add|take|start with|we have|there is|imagine|suppose I have) <a> (and add|plus|and then add) <b>, (what is "
    "it|how much is that|what do I get)",
    "if I have <a> (apples|books|coins|cats|sweets|eggs) and (get|buy|find|am given) <b> more, how many (do I have|"
    "are there|have I got)",
    "I have <a> (apples|books|coins|pens) and you (give me|bring me) <b> more, how many (do I have|is that|is that "
    "in all)",
    "(there are|we have|I see) <a> (birds|cars|cups|dogs) and <b> more (come|arrive|join them), how many (are there|"
    "is that)",
    "(Tom|Anna|she|he) has <a> (pens|toys|cookies) and (Ben|Maria) has <b>, how many (together|in all|do they have "
    "together)",
    "(do you know|can you tell me|can you work out|are you able to add|I need to know|help me with|help me add) <a> "
    "plus <b>",
    "(a little|some|an easy|my) (maths|math|sum|homework): <a> plus <b>",
    "(how about|and|then what about|next:|now try|what about) <a> plus <b>",
    "how (many|much) (is|are|makes) <a> plus <b>",
    "how much (do you get|do I get|will I have|is it|would that be) (if you add|when I add|adding|for) <a> and <b>",
    "what number (is|do you get for|equals|is the sum of|do you get if you add) <a> (plus|and) <b>",
)

AFTER = (
    "(what|which) <kind> (comes|is|follows|do we have) (after|right after|just after) <a>",
    "(what|which) is the (next <kind>|<kind>) after <a>",
    "(what|which) (is|comes) the <kind> after <a>",
    "(tell me|name|say) the (next <kind>|<kind>) after <a>",
    "what (comes|is|follows|is next) after <a>",
    "(what|which) <kind> follows <a>",
    "(what|which) <kind> (always follows|directly follows|follows upon|follows on|then follows) <a>",
    "what (follows|always follows|directly follows|follows right after|follows just after) <a>",
    "(name|say) (what|the <kind> that) (follows|comes after) <a>",
    "after <a> (comes|follows) (what|what <kind>|which <kind>)",
    "(the|the next) <kind> (after|following|that comes after|right after) <a>",
    "(what|which) <kind> (comes next after|will be after|would be after|immediately follows|comes immediately after) "
    "<a>",
    "(what is|which is|give me|find) the <kind> (following|that follows|right after|that comes after) <a>",
    "what (is next|comes next|comes right|comes directly|would come|will come|comes immediately) after <a>",
    "(what comes next|what is next|next|next up|continue|go on|carry on): <a>",
    "<a> is followed by (what|what <kind>|which <kind>)",
    "<a> comes (before|right before|just before) (what|what <kind>|which <kind>)",
    "(what|which <kind>|what <kind>) (does <a> come before|is <a> followed by|comes on after <a>|is up after <a>)",
    "after <a>, (what|what is next|what comes|what comes next|what <kind> is it|which <kind> is next|which <kind> "
    "comes)",
    "(what is the next <kind>|what <kind> comes next|which <kind> is next|what is next), (after <a>|if we start at "
    "<a>)",
    "(do you know|can you name|give me|I need|I am looking for|let me know|find) the (<kind>|next <kind>) after <a>",
    "(I forgot|I do not remember|I never know|remind me) (what|which <kind>|what <kind>) (comes after|follows|is "
    "after) <a>",
    "<a> and then (what|comes what|which <kind>|what comes next|what <kind>|comes which <kind>)",
    "<a>, and (after that|next|what is next|what comes after that|then)",
    "(the <kind> right after|what is right after|next <kind> after|what about after|and after|just after) <a>",
)
BEFORE = (
    "(what|which) <kind> (comes|is|was|do we have) (before|right before|just before) <a>",
    "(what|which) (is|comes|was) the <kind> before <a>",
    "(tell me|name|say) the <kind> before <a>",
    "what (comes|is|was) before <a>",
    "what (always comes|comes right|comes just|is just) before <a>",
    "(name|say) (what|the <kind> that) comes before <a>",
    "before <a> comes (what|what <kind>|which <kind>)",
    "(the|the last) <kind> (before|preceding|that comes before|right before|prior to) <a>",
    "(what|which) <kind> (precedes|goes before|directly precedes|comes immediately before|would be before|leads to) "
    "<a>",
    "(what is|which is|give me|find) the <kind> (preceding|that precedes|right before|that comes before|prior to) <a>",
    "what (precedes|comes directly before|would come before|goes before|came before|is right before|is prior to) <a>",
    "<a> is preceded by (what|what <kind>|which <kind>)",
    "<a> (comes|follows|comes right|comes just) after (what|what <kind>|which <kind>)",
    "<a> follows (what|what <kind>|which <kind>)",
    "(what|which <kind>|what <kind>) (does <a> come after|does <a> follow|is <a> preceded by)",
    "before <a>, (what|what comes|what is there|what <kind> is it|which <kind> is it|which <kind> comes|what <kind> "
    "was it)",
    "(do you know|can you name|give me|I need|I am looking for|let me know|find) the <kind> before <a>",
    "(I forgot|I do not remember|I never know|remind me) (what|which <kind>|what <kind>) (comes before|precedes|is "
    "before) <a>",
    "(what is|what was|which was|tell me|name|give me) the previous <kind> (before|to|if this is|if we are at) <a>",
    "(the <kind> right before|what is right before|and before|just before|what about before|<kind> before) <a>",
    "(what|which) <kind> do (you|I|we) (say|have|find|get) (before|right before) <a>",
)
AFTER_ONE = {
    "day": (
        "(if|when) (today is|it is) <a>, (what is tomorrow|what day is tomorrow|what is it tomorrow|which day is it "
        "tomorrow)",
        "(today is|it is) <a>, (what is tomorrow|what day is tomorrow|what day will it be tomorrow|so tomorrow is|"
        "and tomorrow)",
        "(what is|what day is|which day is) tomorrow (if|when) (today is|it is) <a>",
        "(if|when) yesterday was <a>, (what is today|what day is it|what day is today|which day is it)",
        "yesterday was <a>, (what is today|what day is it|what is it today|which day is today)",
        "(what day is it|what do we have|which day is it) (the day after|one day after) <a>",
        "(the day after|one day after) <a> (is|is what|is which day|is called|is what day)",
    ),
    "month": (
        "(if|when) (it is|this month is|we are in) <a>, (what month is next|what is next month|which month comes next)",
        "(it is|we are in|now it is) <a>, (what is next month|what month comes next|which month is next|what will "
        "next month be)",
        "(what is|what month is|which is) next month (if|when) (it is|this is|we are in) <a>",
        "when <a> (ends|is over|is done|has passed), (what month comes|what comes next|which month starts|what month "
        "begins)",
        "(what|which) month (starts|begins|comes) (when|once|as soon as) <a> (ends|is over)",
        "(the month after|one month after) <a> (is|is what|is which month|is called)",
    ),
    "number": (
        "(when counting|when I count|if I count|in counting|counting up), what (comes after|comes next after|follows|"
        "is next after) <a>",
        "(what|which) number (comes|do you say|do I say|is) (next after|directly after|straight after|following) <a>",
        "(what|which) is the (next number|number) (up from|following|one after|on from) <a>",
        "I (counted to|have counted to|am at|have got to|stopped at) <a>, (what is next|what comes next|which number "
        "is next)",
        "(what|which) number (do you say|comes|do you reach) after you (say|count|reach) <a>",
    ),
}
BEFORE_ONE = {
    "day": (
        "(if|when) (today is|it is) <a>, (what was yesterday|what day was yesterday|what was it yesterday|which day "
        "was yesterday)",
        "(today is|it is) <a>, (what was yesterday|what day was yesterday|what day was it yesterday|so yesterday was|"
        "and yesterday)",
        "(what was|what day was|which day was) yesterday (if|when) (today is|it is) <a>",
        "(if|when) tomorrow is <a>, (what is today|what day is it|what day is today|which day is it)",
        "tomorrow is <a>, (what is today|what day is it|what is it today|which day is today)",
        "(the day before|one day before) <a> (is|is what|is which day|is called|was)",
    ),
    "month": (
        "(if|when) (it is|this month is|we are in) <a>, (what was last month|what month was last|which month was it "
        "before)",
        "(it is|we are in|now it is) <a>, (what was last month|what month was it before|which month was last month)",
        "(what was|what month was|which was) last month (if|when) (it is|this is|we are in) <a>",
        "(what|which) month (ends|is over|has passed) (when|once|before) <a> (starts|begins)",
        "(the month before|one month before) <a> (is|is what|is which month|is called|was)",
    ),
    "number": (
        "(when counting|when I count|if I count|in counting|counting up), what (comes before|comes right before|"
        "precedes|is before) <a>",
        "(what|which) number (do you say|do I say|stands|sits) (before|right before|directly before|just before) <a>",
        "(what|which) is the (previous number|number) (down from|one before|preceding|just below) <a>",
        "(what|which) number (do you say|comes|do you reach) before you (say|count|reach) <a>",
    ),
}

CALENDAR = (
    (
        (
            "how many days (are there in a week|are in a week|has a week|does a week have)",
            "(tell me|say) how many days a week has",
            "(how many days make|how many days are needed for|how many days in|how many days go into) (a|one|every|"
            "each) week",
            "(a|one|each|the) week has how many days",
            "(what is|tell me) the number of days (in|of) (a|one|the) week",
            "how (long is a week in days|many days does one week have|many days does the week have|many weekdays are "
            "there)",
        ),
        "There are seven days in a week.",
    ),
    (
        (
            "how many months (are there in a year|are in a year|has a year|does a year have)",
            "(tell me|say) how many months a year has",
            "(how many months make|how many months in|how many months go into|how many months fit in) (a|one|every|"
            "each) year",
            "(a|one|each|the) year has how many months",
            "(what is|tell me) the number of months (in|of) (a|one|the) year",
            "how (long is a year in months|many months does one year have|many months does the year have)",
        ),
        "There are twelve months in a year.",
    ),
    (
        (
            "(say|name|list|tell me|what are) (the|all the|all) days of the week",
            "what are the days in a week",
            "(recite|give me|write|show me|go through|which are) (the|all the|all|the seven) days of the week",
            "(say|name|list|tell me|give me|what are) (the seven days|all seven days|the names of the days)",
            "(which|what) days (are there in|are in|make up) (a|the) week",
            "(days of the week|the days of the week|the seven days of the week|all days of the week)",
        ),
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    ),
    (
        (
            "(what|which) is the first month (of|in) (the|a) year",
            "(what|which) month (is|comes) first",
            "(what|which) month (starts|begins|opens) (the|a|every|each) year",
            "(tell me|name|say|give me|) the first month (of|in) (the|a) year",
            "(with which month|in which month|with what month) does (the|a) year (start|begin)",
            "the (first month|first month of the year) is (what|called)",
        ),
        "The first month is January.",
    ),
    (
        (
            "(what|which) is the last month (of|in) (the|a) year",
            "(what|which) month (is|comes) last",
            "(what|which) month (ends|closes|finishes|completes) (the|a|every|each) year",
            "(tell me|name|say|give me|) the last month (of|in) (the|a) year",
            "(with which month|in which month|with what month) does (the|a) year (end|finish)",
            "the (last month|last month of the year|final month of the year) is (what|called)",
        ),
        "The last month is December.",
    ),
    (
        (
            "(what|which) is the first day (of|in) (the|a) week",
            "(what|which) day (is|comes) first",
            "(what|which) day (starts|begins|opens) (the|a|every|each) week",
            "(tell me|name|say|give me|) the first day (of|in) (the|a) week",
            "(with which day|on which day|with what day) does (the|a) week (start|begin)",
            "the (first day|first day of the week) is (what|called)",
        ),
        "The first day is Monday.",
    ),
    (
        (
            "(what|which) is the last day (of|in) (the|a) week",
            "(what|which) day (is|comes) last",
            "(what|which) day (ends|closes|finishes|completes) (the|a|every|each) week",
            "(tell me|name|say|give me|) the last day (of|in) (the|a) week",
            "(with which day|on which day|with what day) does (the|a) week (end|finish)",
            "the (last day|last day of the week|final day of the week) is (what|called)",
        ),
        "The last day is Sunday.",
    ),
)

OPPOSITE = (
    "(what is|tell me|say|name|give me|do you know|can you say|find|) the opposite of <a>",
    "(what|which word) is the opposite of <a>",
    "(what|which word|who) is opposite to <a>",
    "what (does not mean|is not) <a> but the opposite",
    "(<a> is|is <a>) the opposite of (what|which word)",
    "(what|which word) is <a> the opposite of",
    "what (would|may|can) <a> be the opposite of",
    "(what|which word) do you call the opposite of <a>",
    "(tell me|say|give me) the opposite (word|) (to|for) <a>",
    "(opposite of|opposite to|opposite for|opposite:|the opposite to|the opposite word of|and the opposite of) <a>",
    "(what is|give me|tell me|name|say|find|) (the antonym|an antonym|the contrary) (of|for|to) <a>",
    "(what is|tell me|name|say) (the reverse|the converse|the exact opposite|the direct opposite|the very opposite) "
    "of <a>",
    "(what is|which is) the (word opposite to|opposite word for|opposite word of|opposite term for|opposite meaning "
    "of) <a>",
    "(not <a> but|if not <a>, then|if it is not <a>, it is|if it is not <a>, what is it|if something is not <a>, it "
    "is)",
    "(when|if) (something|a thing|it|this) is not <a>, (what is it|it is what|then it is|how is it)",
    "(<a> versus|<a> or|<a> and its opposite|<a> has what opposite|<a> is the opposite of|<a>, opposite)",
    "(what|which word) means the (opposite|contrary|reverse|exact opposite) of <a>",
    "(what word|which word|what) (has the opposite meaning to|is the antonym of|is contrary to|contrasts with) <a>",
    "(what|which) (word|one) (is the contrary of|stands opposite|is the reverse of|would be the opposite of) <a>",
    "(how do you say|how would you say|what do you call|what would you call) (the opposite of|the contrary of|"
    "something that is not) <a>",
    "(I need|I want|I am looking for|I would like|let me hear|can you find|can you give me|help me with) (the|an) "
    "opposite (of|for) <a>",
    "<a> is to (what|which word) as (hot is to cold|up is to down|big is to small)",
    "(what would you say|what do you think|what, in your view,) is the opposite of <a>",
    "(what|which word) (would be|could be|might be|will be) the opposite of <a>",
    "(antonym|antonyms) (of|for|to) <a>",
    "(reverse|invert|flip|turn around|negate) the (word|meaning of the word|meaning of) <a>",
    "the (word|term|adjective) <a> has (what opposite|which opposite|what antonym|which antonym)",
    "(is there|do you have|have you got) (an|any) (opposite|antonym) (of|for|to) <a>",
    "(does|has) <a> (have|got) an (opposite|antonym), (what is it|which one|which)",
    "(quick|next|vocabulary test|word game|let us play), the opposite of <a>",
    "(I say|I am saying) <a>, (you say the opposite|what is the opposite|give me the opposite|say the opposite|and "
    "you say)",
    "(what is|what would be) <a> (reversed|turned around|the other way round)",
)

_MORE = "(more|bigger|larger|greater|higher)"
COMPARE = (
    "is <a> (more|bigger|larger|greater) than <b>",
    "(tell me|say) if <a> is (more|bigger|larger|greater) than <b>",
    "is the number <a> (more|bigger|larger|greater) than <b>",
    "is it true that <a> is (more|bigger|larger|greater) than <b>",
    "is <a> (higher than|above|over|greater in value than|a bigger number than|a larger number than|the bigger "
    "number, compared to) <b>",
    "is (<a> > <b>|<n> > <m>|<n> >= <m>|<a> really more than <b>|<a> actually bigger than <b>|<a> even more than <b>)",
    f"(would you say|do you think|do you believe|can you tell me if|can you check if|do you know if) <a> is {_MORE} "
    f"than <b>",
    f"(I think|I believe|I say|they say|my friend says|I would say|I bet) <a> is {_MORE} than <b>, (right|correct|is "
    f"that right|is it true)",
    f"<a> is {_MORE} than <b>, (right|correct|is it not|true or false|is that right|yes or no|am I right|yes)",
    f"(am I right that|is it right that|is it correct that|true or false:|right or wrong:|is it so that) <a> is "
    f"{_MORE} than <b>",
    "does <a> (exceed|beat|surpass|outnumber|come out higher than|count for more than|have a higher value than) <b>",
    f"(check|check if|find out if|decide if|let me know if|see if|confirm that|verify that) <a> is {_MORE} than <b>",
    f"is <a> (the|) (number that is|a number) {_MORE} than <b>",
    "are <a> (apples|things|coins|points|cats) (more than|more in number than) <b>",
    f"<a> {_MORE} than <b>",
    f"(could|can|might) <a> be {_MORE} than <b>",
    f"(I wonder if|I want to know if|I would like to know if|I am not sure if|tell me whether) <a> is {_MORE} than <b>",
    f"is the value of <a> {_MORE} than (the value of|that of|) <b>",
    "is (having|getting|scoring|winning) <a> more than (having|getting|) <b>",
    "(do I have more with <a> than with|is it more to have <a> than|would it be more to have <a> than) <b>",
    "(compared to|compared with|next to|against) <b>, is <a> (more|bigger|larger|greater)",
)

REPEAT = (
    "(repeat|please repeat|say|please say|can you say|can you repeat|now say) (this|the words|the following|): <a>",
    "(repeat|please repeat|say|please say|speak) after me(:|) <a>",
    "(repeat|say) (this|it) after me: <a>",
    "say <a>",
    "(say|repeat): <a>",
    "(repeat|please say|please repeat|now say|just say|ok, say|hey, say|Omni, say|now repeat|just repeat) <a>",
    "(can|could|would|will) you (say|repeat|please say|please repeat|just say) <a>",
    "(can|could|would|will) you (say|repeat) <a> (for me|to me|back to me|back|again|out loud|after me)",
    "(say|repeat) <a> (for me|to me|back to me|back|again|out loud|aloud|loudly|once|once more|loud and clear|after "
    "me)",
    "(say|repeat) <a>, (please|will you|would you|if you can|ok|thanks|Omni|could you|if you please|for me please)",
    "please (say|repeat) <a> (for me|to me|back to me|again|out loud|once)",
    "(say|repeat|speak|read|pronounce|utter) (the word|the words|the phrase|this word|these words|this phrase|the "
    "sentence) <a>",
    "(can|could|would) you (say|repeat|read|pronounce) (the words|the phrase|these words|this sentence): <a>",
    "(I want|I would like|I need) you to (say|repeat|read out|tell me): <a>",
    "(I want|I would like|I need) (you to say|you to repeat|to hear you say|to hear the words) <a>",
    "(echo|please echo|echo this|echo back|echo these words|parrot|parrot this|copy|copy me|copy this|mimic)(:|) <a>",
    "(read|please read|read out|read aloud|read this out|read this aloud|read this|read it out|read to me): <a>",
    "(tell me|speak|speak the words|your words are|your line is|the sentence is|my words are|the words are): <a>",
    "(let me hear|let me hear you say|I want to hear|I would love to hear|try to say|try saying|go ahead and say) <a>",
    "(when I say|if I say) (this|something), (repeat it|say it too|say it back|echo it): <a>",
    "(say|speak|repeat) (exactly|only|just|simply|word for word|literally) (this|): <a>",
    "(say|repeat) (exactly|only|just|simply|nothing but) <a>",
    "(listen and repeat|listen, then repeat|after me|copy what I say|say what I say|repeat what I write|do as I do, "
    "say): <a>",
    "(how do you say|how would you say|do you know how to say|are you able to say|are you able to repeat) <a> (out "
    "loud|aloud)",
    "(output|print|write|write back|type|answer with|reply with|respond with|answer|reply|respond|return)(:| the "
    "words|) <a>",
    "(can|could) you (echo|read out|read aloud|speak|write|pronounce|say aloud|say after me|repeat after me)(:|) <a>",
    "(in your voice|in your own voice|with your voice|out loud|loud and clear|slowly|one time|once more), say <a>",
    "(my friend|my mother|my teacher|everybody) (wants you to say|wants to hear you say|asks you to repeat|would "
    "like you to say) <a>",
    "(the phrase to repeat is|here is what to say|here is your text|the text is|what you should say is|you say|you "
    "should say)(:|) <a>",
    "(make|do) (a|the) (voice test|sound test|microphone test|speaker test): (say|repeat) <a>",
    "(let us practise|let us practice|let us try|we practise|voice test|a test|sound check), (say|repeat) <a>",
    "(hello|hi|hey|ok|well|so|now|um|please Omni|hey Omni|excuse me), (say|repeat|can you say|please say|repeat "
    "after me:) <a>",
    "I (say|will say) <a>, (you say it too|you repeat it|now you|and you repeat|you say it back|now you say it)",
    "<a>, (repeat that|say that|repeat it|now you say it|say it back|repeat this|can you repeat that|please repeat|"
    "say that back to me)",
)

THINGS = (
    "France Spain Germany Italy China India Brazil Egypt Canada Japan Rome London Paris Berlin money gold silver "
    "water fire wood iron music history physics love war peace time space life death bread cheese apples bananas "
    "soup rice tea coffee milk sugar salt a horse a dog a cat a bird a fish a tiger an elephant a mouse a tree a "
    "flower a garden a house a car a train a ship a plane a bicycle a computer a phone a book a film a song a "
    "poem a game football tennis chess the moon the sun the sea the river the mountain the weather the president "
    "the king the queen my mother my father my brother my doctor the teacher the school the shop the market the "
    "bank the airport the station Mars Shakespeare Mozart Newton Einstein Napoleon the internet the government "
    "the law the universe electricity Australia Mexico Russia Sweden Norway Greece Kenya Texas California Madrid "
    "Tokyo Vienna Moscow Sydney Chicago pizza pasta chicken chocolate ice_cream pancakes a cake a sandwich eggs "
    "potatoes beer wine juice Python Java Linux software a robot a website an email a laptop basketball baseball "
    "cricket golf rugby swimming running yoga the Olympics Picasso Beethoven Darwin Galileo Cleopatra Caesar "
    "Lincoln Gandhi Harry_Potter Batman Superman Google Amazon Facebook Twitter biology chemistry maths algebra "
    "philosophy religion art poetry dancing cooking gardening travel holidays Christmas Easter a birthday a wedding "
    "a volcano an earthquake a storm snow rain the wind the sky the ocean a desert a forest an island a planet a "
    "comet a dinosaur a lion a bear a wolf a snake a spider a whale a penguin a cow a pig a sheep gravity oxygen "
    "energy the brain the heart the human body medicine a headache a virus a hospital a lawyer the police the news "
    "the stock market bitcoin my wife my husband my boss my neighbour my sister the pope the prime minister"
)
UNKNOWN_QUESTIONS = (
    "(what is|where is|who is|when was|who made|who found|who knows|why is there|what about) <a>",
    "(tell me|do you know|what do you know|write a poem|can you talk|tell me a story) (something|all|) about <a>",
    "(what is|what was) the (capital|name|price|history|age|weight|size|meaning|origin|colour) of <a>",
    "how (old|big|heavy|far|expensive|fast|tall|deep|dangerous) is <a>",
    "how (do I|can I|do people|does one) (make|buy|find|cook|repair|sell|draw|use|reach) <a>",
    "why (do people|does he|does she|should I) (like|need|buy|want|fear|love) <a>",
    "(do you like|have you seen|can you buy|can you find|do you want|do you believe in) <a>",
    "where (can I find|do I get|did you see|does one buy|was) <a>",
    "who (invented|wrote about|owns|likes|was|painted|discovered|is the owner of) <a>",
    "when (did people first use|was the first time of|will I see|do we get|does one need) <a>",
    "(translate|explain|spell|describe|draw|define|compare|cook|call|play) <a>",
    "what (happened to|do you think of|is the best way to get|is wrong with|can one do with|is the use of) <a>",
    "what is the opposite of <a>",
    "how many <a> are there in the world",
    "(is|was) <a> (beautiful|dangerous|important|expensive|real|famous)",
    "(I like|I saw|I want|he has|she bought|we need|they lost) <a>",
    "(what time is it|what is the time|what day is it today|what is the date|how old are you|where are you)",
    "(where do you live|who made you|what is the weather like|will it rain|what should I eat|who won the game)",
    "(how tall are you|what is my name|who am I|where am I|what is the meaning of life|can you drive|are you human)",
    "(what did you eat|do you sleep|tell me a joke|sing a song|what is the news|do you love me)",
    "(what is|how much is|calculate|tell me|) <n> (times|minus|divided by|multiplied by) <m>",
    "(what is|how much is|) <n> (x|*|-|/) <m>",
    "(subtract|take|take away) <n> from <m>",
    "(multiply|divide) <n> by <m>",
    "(what is|calculate|find) (the square root of|half of|double|twice|the square of|the cube of) <n>",
    "(is <n> even|is <n> odd|is <n> a prime number|what is <n> percent of <m>|what is <n> squared)",
    "how many days (are in <month>|does <month> have|are there in <month>|has <month>)",
    "(what is the weather like|is it cold|is it warm|does it rain|does it snow|what festival is there|who was born) "
    "in <month>",
    "(who|what) (comes after|comes before|follows) (the king|the president|the queen|dinner|breakfast|the storm|the "
    "war|Einstein)",
    "(count the stars|count all stars|count the grains of sand|count the people|count my money|count sheep) (in the "
    "sky|for me|)",
    "how (is|are|do you spell|do I spell|does one pronounce|do you pronounce|do you write) <a>",
    "how (do|would) you say <a> in (French|Spanish|German|Italian|Chinese)",
    "translate <a> (into|to) (French|Spanish|German|Italian|Japanese)",
    "(what is|tell me|give me) (a|the|your) recipe for <a>",
    "(who won|who is the best at|who plays|what are the rules of|how do you play|who scored in) (football|tennis|"
    "chess|golf|rugby|cricket)",
    "(write|can you write|create|make|show me) (a program|some code|a function|a script|an essay|a letter|a story) "
    "(about|for|on) <a>",
    "(what causes|what is the cause of|how does one get|how do I avoid|is there a cure for) <a>",
    "(what is|who is|which is) your favourite (food|colour|film|song|animal|book|sport|number|day|month|shape|word|"
    "place)",
    "(do|did) you (eat|dream|drink coffee|have a family|have friends|like music|have feelings|speak French|go to "
    "school|get tired)",
    "(are you) (a robot|a man|a woman|real|alive|married|hungry|clever|conscious|ChatGPT|from London|an AI)",
    "(how many|how much) (people live in|does it cost to visit|time do I need for|do people know about|money is in) "
    "<a>",
    "(will|could) <a> (win|last|get better|be cheaper|exist in the future|disappear|change)",
    "(who will win|what will happen|where will I be|will I be rich|what will the weather be|will it snow) (tomorrow|"
    "next year|next week|)",
    "(tell me|sing|write|read) (a story|a song|a poem|a riddle|a fairy tale|a secret|a fun fact|the news|something "
    "funny|a bedtime story)",
    "(who wrote|who sang|who directed|who played in|who starred in|who composed) (Hamlet|Titanic|Yesterday|the Bible|"
    "Star Wars|Carmen)",
    "(what is|which is) the (tallest|longest|biggest|oldest|deepest|richest|hottest) (mountain|river|country|city|"
    "building|animal|lake)",
    "(what|which) (is the best|is a good|is the cheapest) (phone|car|restaurant|hotel|book|film|school|way to lose "
    "weight)",
    "(what should I|what can I|where should I|how should I) (wear|do|eat for dinner|cook|go|travel|study|read) "
    "(today|tonight|tomorrow|)",
    "(what year|what month|what time|what date|what season|what century) is it (now|today|)",
    "(when|where) (were you born|was I born|do you sleep|did you grow up|will you go|did you learn English|is your "
    "home)",
    "(how is|what is) the weather (today|in London|tomorrow|outside|there)",
    "(open|close|turn on|turn off|set|start|stop|switch on) (the window|the lights|the radio|an alarm|a timer|the "
    "heating|the television)",
    "(my|the) (head hurts|car is broken|train is late|dog is ill|computer is slow|phone is lost|team lost), what "
    "(can I do|now|should I do)",
    "(where did|why did|when did|how did) (I put my keys|the war start|you learn that|Rome fall|he die|the dinosaurs "
    "die out|she leave)",
    "(why is|how is) (the sky blue|grass green|water wet|the sea salty|the moon round|ice cold|paper made|glass made|"
    "cheese made)",
    "(what is|who is) (inside|behind|near|under|above|next to) <a>",
    "(which|what) (language|country|king|planet|team|animal|king ruled) (is spoken in|is next to|is like|belongs to|"
    "is linked to) <a>",
    "(can|could|should) (you|I|we) (help with|fix|eat|teach me about|show me|order|sell|learn) <a>",
    "(what are|name|list|give me) (three|some|a few|five) (facts|books|films|songs|jokes|ideas) about <a>",
    "is there (life on Mars|a god|a cure for cancer|water on the moon|a shop nearby|any milk left)",
    "(are there|do you believe in) (aliens|ghosts|miracles|fairies|angels)",
    "(how far is it|how long does it take|how do I get) to (London|Paris|the moon|the station|Rome|the airport|Tokyo|"
    "the sea)",
    "(give me|what is) your (opinion|advice|view|phone number|address|email) (on <a>|about <a>|)",
    "(remember|guess|do you know|tell me|what is|how do you spell) (my name|my age|my birthday|my address|my "
    "favourite colour)",
    "(should|does|did) <a> (matter|cost a lot|hurt|work|help|smell|make noise|exist)",
    "(how does|how do|why does) <a> (work|grow|move|look|sound|taste|begin|end)",
    "(what is the difference between|which is better,|compare|choose between) <a> (and|or) <c>",
    "the opposite of <a>",
)

REPEATED = (
    "<c> <s>",
    "the <c> <s>",
    "a <c> <s> and a <d> <t>",
    "<n> <c> <s>s",
    "<n> <m> <k>",
    "<n> <m>",
    "it is <n> o'clock",
    "it is half past <n>",
    "it is <m> past <n>",
    "<day> the <nth> of <month>",
    "today is <day>",
    "see you on <day>",
    "the <a> <s>",
    "hello",
    "good morning",
    "good evening my friend",
    "thank you very much",
    "yes please",
    "no thank you",
    "my name is Omni",
    "turn <side> and go forward",
    "<a> and <b>",
    "<c>",
    "<d>",
    "<s>",
    "<m>",
    "<a>",
    "<day>",
    "<month>",
    "<c> and <d>",
    "<c> <d>",
    "<a> <b>",
    "<day> and <e>",
    "<e> in <month>",
    "<a> is not <b>",
    "tomorrow is <day>",
    "it is <day>",
    "it is <a>",
    "the <s> is <c>",
    "the <s>s are <c>",
    "I see <n> <s>s",
    "I see a <c> <s>",
    "one two three",
    "three two one",
    "<n> and <m>",
    "<n> plus <n>",
    "hello Omni",
    "hello world",
    "hello my friend",
    "good evening",
    "good night",
    "good night my friend",
    "goodbye",
    "thank you",
    "you are welcome",
    "see you soon",
    "see you later",
    "see you tomorrow",
    "nice to meet you",
    "have a nice day",
    "I am fine",
    "I am happy",
    "I am sorry",
    "I do not know",
    "I like this picture",
    "it is cold outside",
    "the sun is shining",
    "the door is open",
    "go forward",
    "go back",
    "stop",
    "turn <side>",
    "welcome",
    "yes",
    "no",
)
